/** A model as the rest of the code is given it: its shape, and where its numbers come from. */
import type { FloatWeight, QuantisedMatrix } from '../tensor/quantised.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { MoeConfig } from './moe-config.ts';

export * from './moe-config.ts';
export { weightNames } from './weights/parts.ts';

/**
 * Weights by their canonical name (`weightNames`: Mixtral's in the Hugging Face hub, and of what Mixtral has not
 * similar ones), in the stored orientation: rows are outputs, columns are inputs. Whatever a family calls them, and
 * however it lays them down, a source gives these.
 */
export interface WeightSource {
  readonly config: MoeConfig;
  /** Where the numbers come from, for reports: a folder, or the seed of synthetic weights. */
  readonly origin: string;
  /**
   * A source with `load` has a tensor only after it was loaded.
   * @throws ConfigError when there is no such tensor or its shape is not the one the config asks for.
   */
  get(name: string): Tensor;
  /** Brings these into memory, so that `get` has them; what was loaded before may be dropped. */
  load?(names: readonly string[]): Promise<void>;
  /** A tensor that the file holds in few bits, as it lies there. */
  packed?(name: string): QuantisedMatrix | undefined;
  /** How the file stores it, where kernels can read that as it is. */
  storedAs?(name: string): 'f32' | 'f16' | 'bf16' | 'mxfp4';
  /** Where the file has it as kernels read it, its bytes: they can go to a device without being held. Undefined elsewhere. */
  inFile?(name: string): TensorBytes | undefined;
}

/** A tensor as it lies in a file, row by row. */
export interface TensorBytes {
  readonly dtype: FloatWeight;
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Its bytes from `begin` on, as many as there is room for. @throws ConfigError when the file ends before. */
  readInto(begin: number, into: Uint8Array): Promise<void>;
}

/**
 * An op is what a user runs by name on tensors of his own: rules for its inputs, kernels that compute it, the
 * float64 truth with the error that arithmetic allows, and what it costs. One file per op; `ops.ts` lists them.
 */
import type { Piecewise } from '../core/async/pieces.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { VariantFamily } from '../kernels/registered/interfaces.ts';
import type { Budget } from '../tensor/compare.ts';
import type { Dtype, Tensor } from '../tensor/tensor.ts';

export interface TensorRule {
  readonly name: string;
  /** Named dimensions: '[T, E]'. One name has one value in all tensors of a call. */
  readonly dims: string;
  readonly dtypes: readonly Dtype[];
  readonly optional?: boolean;
  /** True for a weight that may also be I8 or U8, with its scales in another tensor: see `quantised-inputs.ts`. */
  readonly quantised?: boolean;
  readonly about: string;
}

export type AttrValue = number | string | boolean;

export interface AttrRule {
  readonly name: string;
  readonly kind: 'integer' | 'number' | 'flag' | 'choice';
  readonly choices?: readonly string[];
  /** Absent: the attribute is required, unless `derived` says what it follows from. */
  readonly default?: AttrValue;
  /** What the value is when it is not given: '1 / sqrt(Dh)'. */
  readonly derived?: string;
  readonly min?: number;
  readonly max?: number;
  /** True for a number that is only used in float64, on the host: its size need not be one of f32. */
  readonly onHost?: boolean;
  readonly about: string;
}

/** Tensors and attributes of one call by name, defaults filled in; `inputsOf` makes them. */
export interface OpInputs {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly attrs: ReadonlyMap<string, AttrValue>;
}

/** What an output should be, in float64, and how far from it a correct kernel may be. */
export interface Expected {
  readonly values: Float64Array;
  readonly shape: readonly number[];
  readonly budget: Budget;
}

export interface Cost {
  readonly flops: number;
  /** Each input and output once. */
  readonly bytes: number;
}

/** An op with its inputs on the device and its kernels compiled. It may be recorded many times. */
export interface PreparedOp {
  readonly variant: string;
  /** Everything that its kernels write: outputs and what lies between. A check poisons them before it records. */
  readonly written: readonly GpuBuffer[];
  record(commands: CommandList): void;
  /** Outputs by name; one host sync each. */
  read(): Promise<Map<string, Tensor>>;
  destroy(): void;
}

export interface OpVariant {
  readonly name: string;
  /** What it does differently, in one line. */
  readonly idea: string;
}

export interface OpFacts {
  readonly name: string;
  readonly about: string;
  readonly inputs: readonly TensorRule[];
  readonly outputs: readonly TensorRule[];
  readonly attrs: readonly AttrRule[];
  /** The family of kernels that its variants are of: what a user registers for it joins them on that device. */
  readonly registry: VariantFamily;
  readonly variants: readonly OpVariant[];
}

/** What the reference of an op is given. */
type OpReference = [inputs: OpInputs, got?: ReadonlyMap<string, Tensor>, variant?: string];

/** An operation that users run by name: rules for its inputs, kernels, float64 reference and cost. */
export interface Op extends OpFacts {
  /** @throws ConfigError for tensors that do not fit the rules, each other or the attributes. */
  check(inputs: OpInputs): void;
  /** Names of the variants that can run these inputs on this adapter. */
  able(gpu: Gpu, inputs: OpInputs): string[];
  /** Checks, uploads and compiles. @throws ConfigError for inputs, sizes or a variant that cannot run. */
  prepare(gpu: Gpu, inputs: OpInputs, variant?: string): Promise<PreparedOp>;
  /**
   * Where float64 cannot tell which of several results f32 must give (a choice of experts whose scores are closer than
   * their error), and `got` holds one of them, that one is expected.
   * @param variant that computed: one that rounds its operands first has a budget of its own.
   */
  readonly reference:
    | Piecewise<OpReference, ReadonlyMap<string, Expected>>
    | ((...given: OpReference) => ReadonlyMap<string, Expected>);
  cost(inputs: OpInputs): Cost;
}

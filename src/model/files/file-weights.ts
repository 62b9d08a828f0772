/** Our tensors from those of the files, each made when it is asked for: nothing but what was loaded is in memory. */
import { ConfigError, invariant } from '../../core/errors.ts';
import { at } from '../../core/math.ts';
import { quoted } from '../../core/text/quoted.ts';
import { dequantise, type FloatWeight, type QuantisedMatrix } from '../../tensor/quantised.ts';
import { castFloat, type Dtype, type Tensor } from '../../tensor/tensor.ts';
import type { MoeConfig, TensorBytes, WeightSource } from '../config.ts';
import { type FamilyModel, type Recipe, recipeOf } from '../families/family.ts';
import { weightShape } from '../weight-shapes.ts';
import { placeOf } from '../weights/parts.ts';
import { columnsAsRows, floatDtype, floats, fp8, mxfp4Rows, pickRows, reordered, scaled } from './decode.ts';
import type { StoredTensor } from './tensor-files.ts';

/** Bytes of tensors that are kept for the next who asks for them, as ranks of a TP group do. A guess. */
const KEPT_BYTES = 2 ** 27;

/** A run of bytes of a tensor. */
interface Piece {
  readonly key: string;
  readonly from: StoredTensor;
  readonly begin: number;
  readonly end: number;
}

/** One tensor: what it is made of, and what it shall be. */
interface Making {
  readonly recipe: Recipe;
  readonly shape: readonly number[];
  readonly main: StoredTensor;
  readonly pieces: readonly Piece[];
  readonly packed: boolean;
}

export interface FileWeightsOptions {
  readonly model: FamilyModel;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly origin: string;
  /** Layers of the files that stand for 0, 1, ...; those of `config`. */
  readonly config: MoeConfig;
  readonly firstLayer: number;
  /** Told of bytes that were read. */
  readonly onRead?: ((bytes: number) => void) | undefined;
}

export class FileWeights implements WeightSource {
  readonly #o: FileWeightsOptions;
  readonly #raw = new Map<string, Uint8Array>();
  /** Under way: who asks for the same meanwhile gets them too. */
  readonly #reads = new Map<string, Promise<void>>();

  constructor(options: FileWeightsOptions) {
    this.#o = options;
  }

  get config(): MoeConfig {
    return this.#o.config;
  }

  get origin(): string {
    return this.#o.origin;
  }

  async load(names: readonly string[]): Promise<void> {
    const wanted = names.flatMap((name) => this.#making(name).pieces);
    this.#forget(new Set(wanted.map(({ key }) => key)));
    for (const piece of wanted) {
      const found = this.#raw.get(piece.key);
      if (found === undefined) {
        await this.#loaded(piece);
        continue;
      }
      // Those that were asked for last are kept longest.
      this.#raw.delete(piece.key);
      this.#raw.set(piece.key, found);
    }
  }

  #loaded({ key, from, begin, end }: Piece): Promise<void> {
    const found = this.#reads.get(key);
    if (found !== undefined) return found;
    const reading = this.#read(from, begin, end)
      .then((bytes) => void this.#raw.set(key, bytes))
      .finally(() => this.#reads.delete(key));
    this.#reads.set(key, reading);
    return reading;
  }

  get(name: string): Tensor {
    const making = this.#making(name);
    if (making.packed) return castFloat(dequantise(this.#packed(making)), 'f32');
    const { recipe, main, shape, pieces } = making;
    const { rows, allRows, order, scale, boxed } = recipe;
    const bytes = this.#bytes(at(pieces, 0), name);
    const stored = boxed ? shape : storedShape(making, rows?.step !== 1);
    let made =
      main.dtype === 'F8_E4M3'
        ? this.#fp8(making, bytes, stored, name)
        : floats(bytes, dtypeOf(main), stored);
    const picked = rows !== undefined && rows.step !== 1 && allRows !== undefined;
    const source = (row: number): number => (picked ? rows.first + row * rows.step : row);
    if (recipe.transposed) made = columnsAsRows(made, at(shape, 0), source);
    else if (picked) made = pickRows(made, at(shape, 0), source);
    if (order !== undefined) made = reordered(made, order);
    return scale === undefined || scale === 1 ? made : scaled(made, scale);
  }

  packed(name: string): QuantisedMatrix | undefined {
    const making = this.#making(name);
    return making.packed ? this.#packed(making) : undefined;
  }

  storedAs(name: string): 'f32' | 'f16' | 'bf16' | 'mxfp4' {
    const { packed, main, recipe } = this.#making(name);
    if (packed) return 'mxfp4';
    if (recipe.scale !== undefined && recipe.scale !== 1) return 'f32';
    return main.dtype === 'F16' ? 'f16' : main.dtype === 'BF16' ? 'bf16' : 'f32';
  }

  inFile(name: string): TensorBytes | undefined {
    const { recipe, shape, main, pieces, packed } = this.#making(name);
    const { begin, end } = at(pieces, 0);
    const { file } = main;
    const dtype = floatDtype(main.dtype);
    const { transposed: turned = false, order, scale = 1, rows } = recipe;
    const made = packed || turned || order !== undefined || scale !== 1 || (rows?.step ?? 1) !== 1;
    if (made || file.readInto === undefined || !isFloatWeight(dtype)) return undefined;
    return {
      ...{ dtype, shape, byteLength: end - begin },
      readInto: async (from, into) => {
        if ((await file.readInto?.(begin + from, into)) !== into.length) throw shorter(main);
        this.#o.onRead?.(into.length);
      },
    };
  }

  #fp8({ pieces }: Making, bytes: Uint8Array, shape: readonly number[], name: string): Tensor {
    const block = this.#o.model.fp8Block;
    const scales = at(pieces, 1);
    invariant(block !== undefined, () => `FP8 weights without a block`);
    const factors = floats(this.#bytes(scales, name), dtypeOf(scales.from), scales.from.shape);
    return fp8(bytes, shape, factors, block);
  }

  #packed({ pieces, shape, recipe }: Making): QuantisedMatrix {
    const { rows } = recipe;
    const [blocks, scales] = [at(pieces, 0), at(pieces, 1)];
    const size = [at(shape, 0), at(shape, 1)] as const;
    return mxfp4Rows(this.#bytes(blocks, recipe.from), this.#bytes(scales, recipe.from), size, (i) =>
      rows === undefined ? i : rows.first + i * rows.step,
    );
  }

  #bytes({ key, from, begin, end }: Piece, name: string): Uint8Array {
    const loaded = this.#raw.get(key) ?? from.file.whole?.subarray(begin, end);
    if (loaded === undefined) {
      throw new ConfigError(`Tensor ${name} of ${this.origin} was not loaded. Await load([name]) before.`);
    }
    return loaded;
  }

  async #read(from: StoredTensor, begin: number, end: number): Promise<Uint8Array> {
    const bytes = await from.file.read(begin, end);
    if (bytes.length !== end - begin) throw shorter(from);
    this.#o.onRead?.(bytes.length);
    return bytes;
  }

  /** The oldest that nobody wants go until few enough bytes are left. */
  #forget(wanted: ReadonlySet<string>): void {
    let bytes = 0;
    for (const held of this.#raw.values()) bytes += held.length;
    for (const [key, held] of this.#raw) {
      if (bytes <= KEPT_BYTES) return;
      if (wanted.has(key)) continue;
      this.#raw.delete(key);
      bytes -= held.length;
    }
  }

  /** @throws ConfigError when the model has no such tensor. */
  #making(name: string): Making {
    const { config, model, tensors, firstLayer, origin } = this.#o;
    const place = placeOf(name);
    const shape = weightShape(config, name);
    if (place === undefined || shape === undefined) {
      throw new ConfigError(
        `Checkpoint ${origin} has no tensor ${quoted(name)}. Layers are 0 to ${config.numLayers - 1}, ` +
          `experts 0 to ${config.numExperts - 1}.`,
      );
    }
    const recipe = recipeOf(model, place.part, place.layer + firstLayer, place.expert);
    invariant(recipe !== undefined, () => `the family has no name for ${name}`);
    return makingOf(
      recipe,
      shape,
      tensors,
      () => `Checkpoint ${origin} has no tensor ${quoted(recipe.from)}.`,
    );
  }
}

function makingOf(
  recipe: Recipe,
  shape: readonly number[],
  tensors: ReadonlyMap<string, StoredTensor>,
  absent: () => string,
): Making {
  const blocks = recipe.packable ? tensors.get(`${recipe.from}_blocks`) : undefined;
  const scales = tensors.get(blocks === undefined ? `${recipe.from}_scale_inv` : `${recipe.from}_scales`);
  const main = blocks ?? tensors.get(recipe.from);
  if (main === undefined) throw new ConfigError(absent());
  const packed = blocks !== undefined;
  if (packed && scales !== undefined) {
    return { recipe, shape, main, packed, pieces: [slab(main, recipe), slab(scales, recipe)] };
  }
  const pieces = [rowsOf(main, recipe, shape)];
  if (main.dtype === 'F8_E4M3' && scales !== undefined) pieces.push(slab(scales, {}));
  return { recipe, shape, main, packed, pieces };
}

/** The whole tensor, or of a stack what is of one expert. */
function slab(from: StoredTensor, { outer }: Pick<Recipe, 'outer'>): Piece {
  const size = outer === undefined ? 0 : (from.end - from.begin) / at(from.shape, 0);
  const begin = from.begin + size * (outer ?? 0);
  return {
    key: `${from.name}/${outer ?? ''}`,
    from,
    begin,
    end: outer === undefined ? from.end : begin + size,
  };
}

/** As `slab`, and where its rows follow each other no more than those. */
function rowsOf(from: StoredTensor, recipe: Recipe, shape: readonly number[]): Piece {
  const whole = slab(from, recipe);
  const { rows, allRows } = recipe;
  if (rows?.step !== 1 || allRows === undefined || recipe.transposed) return whole;
  const bytes = (whole.end - whole.begin) / allRows;
  const begin = whole.begin + bytes * rows.first;
  return { key: `${whole.key}/${rows.first}`, from, begin, end: begin + bytes * at(shape, 0) };
}

/** The shape of the bytes of a piece. */
function storedShape({ recipe, shape }: Making, allOfThem: boolean): readonly number[] {
  const [first, ...rest] = shape;
  const whole = allOfThem && recipe.allRows !== undefined ? [recipe.allRows, ...rest] : [first ?? 0, ...rest];
  return recipe.transposed ? [...whole].reverse() : whole;
}

function dtypeOf({ dtype, name }: StoredTensor): Dtype {
  const known = floatDtype(dtype);
  invariant(known !== undefined, () => `tensor ${name} of ${dtype} was not refused`);
  return known;
}

function isFloatWeight(dtype: Dtype | undefined): dtype is FloatWeight {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
}

function shorter({ name }: StoredTensor): ConfigError {
  return new ConfigError(
    `The file of tensor ${quoted(name)} has become shorter while it was read. Fetch it again.`,
  );
}

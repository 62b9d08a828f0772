/** The last norm and the logits of streams, some rows of the vocabulary at a time: on the device and in float64. */
import { inPieces } from '../../core/async/pieces.ts';
import { at, range } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { prepareGemm } from '../../kernels/dense/gemm.ts';
import { prepareRmsNorm } from '../../kernels/dense/rms-norm.ts';
import { uploadWeight } from '../../kernels/weights.ts';
import { weightNames, type WeightSource } from '../../model/config.ts';
import { storedRows, valuesOf, type WeightDtypes } from '../../model/stored-weights.ts';
import { matmul } from '../../reference/matmul.ts';
import { rmsNorm } from '../../reference/norm.ts';
import { toF64 } from '../../tensor/tensor.ts';
import { LogitsAccount } from './logits.ts';

/** Values of a piece of the head, and logits of it. A guess. */
const PIECE_VALUES = 2 ** 22;

export interface HeadOptions {
  readonly weights: WeightSource;
  readonly dtypes: WeightDtypes;
  readonly ids: readonly number[];
  /** [T, D] after the last layer in float64. */
  readonly exact_TD: Float64Array;
  /** [T, D] each: those of the device. */
  readonly streams: readonly Float32Array[];
  /** [T, V] that somebody else has computed. */
  readonly file_TV?: ArrayLike<number> | undefined;
}

export interface HeadResult {
  /** Perplexity of the text in float64. */
  readonly perplexity: number;
  /** Of each stream, and last of the file. */
  readonly accounts: readonly LogitsAccount[];
}

export async function checkHead(gpu: Gpu, options: HeadOptions): Promise<HeadResult> {
  const { weights, dtypes, ids, exact_TD, streams, file_TV } = options;
  const { modelDim, vocabSize, rmsEps } = weights.config;
  await weights.load?.([weightNames.finalNorm, weightNames.lmHead]);
  const weight_D = toF64(weights.get(weightNames.finalNorm));
  const { y_TD: normed_TD } = rmsNorm({ x_TD: exact_TD, weight_D, eps: rmsEps });
  const exact = new LogitsAccount(ids);
  const accounts = [...streams, ...(file_TV ? [file_TV] : [])].map(() => new LogitsAccount(ids));
  const device = await DeviceHead.create(gpu, options, weight_D);
  try {
    const tokens = ids.length;
    const piece = Math.max(1, Math.floor(PIECE_VALUES / Math.max(modelDim, tokens * streams.length)));
    for (let first = 0; first < vocabSize; first += piece) {
      const count = Math.min(piece, vocabSize - first);
      const rows = storedRows(weights, weightNames.lmHead, dtypes, { first, count });
      const size = { m: tokens, n: count, k: modelDim };
      const want = await inPieces(matmul.pieces(normed_TD, toF64(valuesOf(rows)), size), gpu.signal);
      exact.add(want, want, first, count);
      const made = await device.logits(rows);
      for (const s of range(streams.length)) {
        at(accounts, s).add(made.subarray(s * tokens * count, (s + 1) * tokens * count), want, first, count);
      }
      if (file_TV)
        at(accounts, streams.length).add(columns(file_TV, vocabSize, first, count), want, first, count);
    }
  } finally {
    device.destroy();
  }
  return { perplexity: exact.perplexity, accounts };
}

function columns(all_TV: ArrayLike<number>, vocabSize: number, first: number, count: number): Float64Array {
  const tokens = all_TV.length / vocabSize;
  const some = new Float64Array(tokens * count);
  for (const t of range(tokens)) {
    for (const i of range(count)) some[t * count + i] = at(all_TV, t * vocabSize + first + i);
  }
  return some;
}

/** The kernels that the engine takes for many rows. */
class DeviceHead {
  readonly #gpu: Gpu;
  readonly #normed: ReturnType<Gpu['buffer']>;
  readonly #rows: number;
  readonly #o: HeadOptions;

  private constructor(gpu: Gpu, options: HeadOptions, normed: ReturnType<Gpu['buffer']>, rows: number) {
    this.#gpu = gpu;
    this.#o = options;
    this.#normed = normed;
    this.#rows = rows;
  }

  static async create(gpu: Gpu, options: HeadOptions, weight_D: Float64Array): Promise<DeviceHead> {
    const { streams, weights } = options;
    const { modelDim, rmsEps } = weights.config;
    const rows = streams.reduce((sum, { length }) => sum + length / modelDim, 0);
    const norm = await prepareRmsNorm(gpu, { width: modelDim, eps: rmsEps, residual: false });
    const all = new Float32Array(rows * modelDim);
    streams.forEach((stream, s) => all.set(stream, s * stream.length));
    const bytes = Math.max(4, 4 * all.length);
    const x = gpu.upload('workspace/head/rows', all);
    const weight = gpu.upload('weights/final-norm', Float32Array.from(weight_D));
    const sum = gpu.buffer('workspace/head/sum', bytes);
    const y = gpu.buffer('workspace/head/normed', bytes);
    try {
      const commands = gpu.commands('last norm');
      if (rows > 0) norm.record(commands, { numRows: rows }, { x, weight, y, sum });
      commands.submit();
      return new DeviceHead(gpu, options, y, rows);
    } finally {
      for (const buffer of [x, weight, sum]) buffer.destroy();
    }
  }

  /** [rows, count] */
  async logits(part: ReturnType<typeof storedRows>): Promise<Float32Array> {
    const numCols = at(part.shape, 0);
    if (this.#rows === 0) return new Float32Array();
    const { weights, dtypes } = this.#o;
    const shape = { numRows: 8, numCols, depth: weights.config.modelDim, weightDtype: dtypes.head };
    const gemm = await prepareGemm(this.#gpu, shape);
    const b = uploadWeight(this.#gpu, 'weights/lm-head', part);
    const c = this.#gpu.buffer('workspace/head/logits', 4 * this.#rows * numCols);
    try {
      const commands = this.#gpu.commands('logits');
      gemm.record(commands, this.#rows, { a: this.#normed, b, c });
      commands.submit();
      return (await this.#gpu.read(c, [this.#rows, numCols])).data as Float32Array;
    } finally {
      b.destroy();
      c.destroy();
    }
  }

  destroy(): void {
    this.#normed.destroy();
  }
}

/** Prefill attention by matrix units, with the quality of f32. No default until it was measured. */
import { ceilDiv } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import {
  featuresRefusal,
  lanesOf,
  MATRIX_FEATURES,
  storageRefusal,
  unitsOfHalves,
  unitsRefusal,
} from '../matrix.ts';
import { lanesRefusal } from '../subgroups.ts';
import type { Variant } from '../variants.ts';
import { type AttentionShape, buffers, headVecs, inFours, STORAGE, wholeParams } from './attention-family.ts';
import { type QueryBlock, wholeGrid } from './grid.ts';

/** Queries of a workgroup, and invocations, whatever the size of subgroups. */
const BLOCK = 64;
const THREADS = 128;
/** Keys of a tile, and of one whose operands are small enough: halves of a short head. */
const KEYS = 32;
const MORE_KEYS = 64;
/** Lanes that look for the largest magnitude of a row together. */
const ROW_LANES = 8;

/** Columns of a slab: more would not fit workgroup storage beside the weights; a slab scores its keys anew. */
const columnsOf = (headDim: number): number => (headDim <= 64 ? 64 : 128);

const keysOf = ({ headDim, kvDtype }: AttentionShape): number =>
  kvDtype === 'f16' && headDim <= 64 ? MORE_KEYS : KEYS;

export const matrixAttention = defineKernel({
  shader: 'attention/matrix.wgsl',
  spec: {
    ...{ LANES: 8, SUBGROUPS_M: 2, SUBGROUPS_N: 2, REG_M: 2, DIM_M: 8, DIM_N: 8, DIM_K: 8 },
    ...{ KEYS, COLUMNS: 64, HEAD_VECS: 16 },
    ...STORAGE,
    ...{ SINKS: false, SOFTCAP: false },
  },
  params: wholeParams,
  buffers,
  grid: (s, p) => wholeGrid({ queries: BLOCK, workgroups: ceilDiv(4 * s.HEAD_VECS, s.COLUMNS) }, p),
  features: MATRIX_FEATURES,
});

/** How a workgroup's subgroups share its matrices. */
interface Cut {
  /** Subgroups along queries, and along keys and columns. */
  readonly down: number;
  readonly along: number;
  /** Matrices of a subgroup along queries. */
  readonly rows: number;
  readonly unit: { readonly m: number; readonly n: number; readonly k: number };
}

/** The largest unit, in the squarest arrangement that it fits. */
function cutFor(gpu: Gpu, shape: AttentionShape): Cut | undefined {
  const keys = keysOf(shape);
  const columns = columnsOf(shape.headDim);
  const subgroups = THREADS / lanesOf(gpu);
  const arrangements = [1, 2, 4, 8, 16]
    .filter((along) => subgroups % along === 0)
    .map((along) => ({ down: subgroups / along, along }))
    .sort(
      (a, b) => Math.max(a.down / a.along, a.along / a.down) - Math.max(b.down / b.along, b.along / b.down),
    );
  for (const unit of unitsOfHalves(gpu, keys)) {
    for (const { down, along } of arrangements) {
      const whole = [BLOCK / (down * unit.m), keys / (along * unit.n), columns / (along * unit.n)];
      if (whole.every(Number.isInteger)) return { down, along, rows: BLOCK / (down * unit.m), unit };
    }
  }
  return undefined;
}

/** Bytes of workgroup storage: operands, or scores and values or sums behind them; powers and factors. */
function storageOf(shape: AttentionShape, { down, along, unit }: Cut): number {
  const keys = keysOf(shape);
  const columns = columnsOf(shape.headDim);
  const stride = keys / 8 + 1;
  const parts = shape.kvDtype === 'f16' ? 1 : 2;
  const operands = (2 * BLOCK + parts * keys) * stride;
  const sums = down * along * unit.m * (columns / along / 4 + 1);
  const behind = BLOCK * (keys / 4 + 1);
  const largest = Math.max(operands, behind + Math.max(parts * columns * stride, sums));
  return 16 * largest + 4 * (2 * BLOCK + 2 * keys) + 8;
}

function refusal(shape: AttentionShape, gpu: Gpu): string | undefined {
  const missing = inFours(shape) ?? featuresRefusal(gpu) ?? lanesRefusal(gpu, ROW_LANES);
  if (missing !== undefined) return missing;
  const lanes = lanesOf(gpu);
  if (!Number.isInteger(THREADS / lanes))
    return `subgroups of ${lanes} lanes do not cut a workgroup of ${THREADS}`;
  const cut = cutFor(gpu, shape);
  if (cut === undefined) return unitsRefusal(gpu, `${BLOCK}x${keysOf(shape)}x${keysOf(shape)}`);
  return storageRefusal(gpu, storageOf(shape, cut));
}

export const matrixVariant: Variant<AttentionShape, typeof matrixAttention> & {
  readonly block: (shape: AttentionShape) => QueryBlock;
} = {
  name: 'matrix',
  idea: 'matrix units for scores and values: halves of f16 that together keep 22 bits, 64 queries',
  kernel: matrixAttention,
  block: ({ headDim }) => ({ queries: BLOCK, workgroups: ceilDiv(headDim, columnsOf(headDim)) }),
  spec: (shape, gpu) => {
    const { down, along, rows, unit } = cutFor(gpu, shape) ?? {
      ...{ down: 2, along: 2, rows: 2, unit: { m: 8, n: 8, k: 8 } },
    };
    return {
      ...headVecs(shape),
      ...{ LANES: lanesOf(gpu), SUBGROUPS_M: down, SUBGROUPS_N: along, REG_M: rows },
      ...{ DIM_M: unit.m, DIM_N: unit.n, DIM_K: unit.k },
      ...{ KEYS: keysOf(shape), COLUMNS: columnsOf(shape.headDim) },
    };
  },
  refusal,
};

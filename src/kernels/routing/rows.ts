/** Moving and joining rows: gather (permutation, embedding, last tokens), combine, elementwise add. */
import { ceilDiv } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Kernel } from '../../gpu/context.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel, type Grid } from '../../gpu/kernel.ts';
import type { WeightDtype } from '../dense/gemm.ts';
import { spread } from '../variants.ts';

/** Bits of a quiet NaN: what a gather from outside its source writes, so that no check can pass over it. */
const NAN_BITS = 0x7fc00000;

const gatherParams = {
  numRows: 'u32',
  width: 'u32',
  numSource: 'u32',
  nanBits: 'u32',
  firstRow: 'u32',
} as const;

const gather = defineKernel({
  shader: 'routing/gather-rows.wgsl',
  spec: { WG: 64, X_F16: false, X_BF16: false, PART: false },
  params: gatherParams,
  buffers: { x_SD: 'read', index_R: 'read', y_RD: 'write' },
  grid: (_s, p) => spread(p.numRows),
});

const combineParams = { numTokens: 'u32', width: 'u32', topK: 'u32' } as const;
const combineBuffers = {
  expertOut_RD: 'read',
  slot_TK: 'read',
  scores_TK: 'read',
  residual_TD: 'read',
  y_TD: 'write',
} as const;

const combine = defineKernel({
  shader: 'routing/combine.wgsl',
  spec: { WG: 64, RESIDUAL: false },
  params: combineParams,
  buffers: combineBuffers,
  grid: (_s, p) => spread(p.numTokens),
});

const gatherFours = defineKernel({
  shader: 'routing/gather-fours.wgsl',
  spec: { WG: 64, X_F16: false, Four: 'vec4<u32>', LAST: 3, PART: false },
  params: gatherParams,
  buffers: { x_SD: 'read', index_R: 'read', y_RD: 'write' },
  grid: (s, p) => byFours(p.width, s.WG, p.numRows),
});

const combineFours = defineKernel({
  shader: 'routing/combine-fours.wgsl',
  spec: { WG: 64, TOP_K: 8, RESIDUAL: false },
  params: combineParams,
  buffers: combineBuffers,
  grid: (s, p) => byFours(p.width, s.WG, p.numTokens),
});

/** Blocks of four columns a lane along x, rows along y and z. */
function byFours(width: number, lanes: number, rows: number): Grid {
  const [y, z] = spread(rows);
  return [ceilDiv(width / 4, lanes), y, z];
}

/**
 * Whether rows are moved by vec4: a GPU waits for loads, and has lanes for a row's columns at once. A CPU adapter pays for a
 * workgroup.
 */
function takesFours(gpu: Gpu, width: number): boolean {
  return gpu.kernelsFor === 'gpu' && width % 4 === 0;
}

/** Rows of choices that a lane holds at once. */
const MOST_HELD = 16;

const add = defineKernel({
  shader: 'elementwise/add.wgsl',
  spec: { WG: 64 },
  params: { count: 'u32' },
  buffers: { a: 'read', b: 'read', y: 'write' },
  grid: (s, p) => spread(ceilDiv(p.count, s.WG)),
});

export interface GatherRows {
  /** y[r] = x[index[r] - firstRow] for `numRows` rows out of `numSource`; of the first row that x holds, 0 by default. */
  record(
    commands: CommandList,
    p: { numRows: number; numSource: number; firstRow?: number },
    t: { x: Bindable; index: Bindable; y: Bindable },
  ): void;
}

/** @param shape `part`: x is one of several parts of a source, and only its own rows of y are written. */
export async function prepareGatherRows(
  gpu: Gpu,
  shape: { width: number; dtype: WeightDtype; part?: boolean },
): Promise<GatherRows> {
  const { width, dtype, part: PART = false } = shape;
  const X_F16 = dtype === 'f16';
  const inFours = takesFours(gpu, width) && dtype !== 'bf16';
  const kernel = await gpu.kernel(
    inFours ? gatherFours : gather,
    inFours
      ? { X_F16, PART, ...(X_F16 && { Four: 'vec2<u32>', LAST: 1 }) }
      : { X_F16, PART, X_BF16: dtype === 'bf16' },
  );
  return {
    record: (commands, { firstRow = 0, ...p }, { x, index, y }) => {
      const params = { ...p, firstRow, width, nanBits: NAN_BITS };
      commands.dispatch(kernel, params, { x_SD: x, index_R: index, y_RD: y });
    },
  };
}

export interface Combine {
  /** y[t] = residual[t] + sum over k of scores[t,k] * expertOut[slot[t,k]]. */
  record(
    commands: CommandList,
    numTokens: number,
    t: {
      expertOut: Bindable;
      slot: Bindable;
      scores: Bindable;
      residual?: Bindable | undefined;
      y: Bindable;
    },
  ): void;
}

export async function prepareCombine(
  gpu: Gpu,
  shape: { width: number; topK: number; residual: boolean },
): Promise<Combine> {
  const { width, topK, residual: RESIDUAL } = shape;
  const inFours = takesFours(gpu, width) && topK <= MOST_HELD;
  const kernel: Kernel<typeof combine | typeof combineFours> = inFours
    ? await gpu.kernel(combineFours, { TOP_K: topK, RESIDUAL })
    : await gpu.kernel(combine, { RESIDUAL });
  return {
    record: (commands, numTokens, { expertOut, slot, scores, residual, y }) => {
      commands.dispatch(
        kernel,
        { numTokens, width, topK },
        {
          expertOut_RD: expertOut,
          slot_TK: slot,
          scores_TK: scores,
          residual_TD: residual ?? expertOut,
          y_TD: y,
        },
      );
    },
  };
}

export interface Add {
  record(commands: CommandList, count: number, t: { a: Bindable; b: Bindable; y: Bindable }): void;
}

export async function prepareAdd(gpu: Gpu): Promise<Add> {
  const kernel = await gpu.kernel(add);
  return { record: (commands, count, t) => commands.dispatch(kernel, { count }, t) };
}

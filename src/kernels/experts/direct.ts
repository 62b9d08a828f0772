/**
 * The routed experts of few tokens without a plan: every choice is a row of its own, and the down projection joins
 * the choices of a token at once. Two dispatches instead of plan, both projections and combine.
 */
import { ceilDiv } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Kernel } from '../../gpu/context.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { expertParams, type ExpertShape, rowKernel, rowSpec, vectorKernel, vectorSpec } from './experts.ts';
import { broadcastRefusal, broadcastSpec } from '../subgroups.ts';
import { chunkGroups, FORMAT_CODE, requireIndexable, scaleStart, wholeChunks } from '../weights.ts';

const downParams = {
  depth: 'u32',
  numCols: 'u32',
  scaleStart: 'u32',
  topK: 'u32',
  numTokens: 'u32',
} as const;
const downBuffers = {
  h_RK: 'read',
  ids_TK: 'read',
  scores_TK: 'read',
  w2_ENK: 'read',
  bias_EN: 'read',
  residual_TN: 'read',
  y_TN: 'write',
} as const;
const downSpec = { WG: 32, FORMAT: 0, WIDE: false, GROUPS: 1, BIASED: false, RESIDUAL: false };

const downRow = defineKernel({
  shader: 'experts/down-combine.wgsl',
  spec: downSpec,
  params: downParams,
  buffers: downBuffers,
  grid: (_s, p) => [ceilDiv(p.numCols, 8), p.numTokens, 1],
});

const downVector = defineKernel({
  shader: 'experts/down-combine-vector.wgsl',
  spec: { ...downSpec, LANES: 8, LOADS: 4 },
  params: downParams,
  buffers: downBuffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), p.numTokens, 1],
  features: ['subgroups'],
});

export interface DirectShape {
  readonly up: ExpertShape;
  readonly down: ExpertShape;
  readonly topK: number;
  readonly residual: boolean;
}

/** Choices up to which each reading its own weights costs less than a plan. */
const DIRECT_CHOICES = 16;

/** Why these experts need a plan; undefined when every choice can go its own way. */
export function directRefusal({ up, down, topK }: DirectShape, numTokens: number): string | undefined {
  if (numTokens * topK > DIRECT_CHOICES) {
    return `${numTokens} tokens with ${topK} experts each are more than ${DIRECT_CHOICES} choices`;
  }
  return wholeChunks(up.weightDtype, up.depth) ?? wholeChunks(down.weightDtype, down.depth);
}

/** Rows of an expert beyond which a tile, which reads its weights once, costs less than a row each with its own reading. */
const FEW_ROWS = 2;

/** Whether so few tokens should go without a plan: they can, and hardly share experts. */
export function directPays(shape: DirectShape, numTokens: number): boolean {
  const rowsPerExpert = (numTokens * shape.topK) / shape.up.numExperts;
  return rowsPerExpert <= FEW_ROWS && directRefusal(shape, numTokens) === undefined;
}

export interface DirectTensors {
  /** [T, D] */
  readonly x: Bindable;
  /** u32 [T, K], f32 [T, K] */
  readonly ids: Bindable;
  readonly scores: Bindable;
  readonly w1: Bindable;
  readonly w3?: Bindable | undefined;
  readonly w2: Bindable;
  readonly upBias?: Bindable | undefined;
  readonly downBias?: Bindable | undefined;
  readonly residual?: Bindable | undefined;
  /** [T K, F], scratch */
  readonly hidden: Bindable;
  /** [T, D] */
  readonly y: Bindable;
}

export interface DirectExperts {
  record(commands: CommandList, numTokens: number, tensors: DirectTensors): void;
}

/**
 * On a GPU a whole workgroup lies along k and sums through workgroup storage; on a CPU adapter, where a barrier costs
 * more than a row, the lanes of a subgroup do and sum by shuffles.
 * @throws ConfigError for a stack of 2^32 values.
 */
export async function prepareDirectExperts(gpu: Gpu, shape: DirectShape): Promise<DirectExperts> {
  const { down, topK, residual } = shape;
  for (const { numExperts, numCols, depth } of [shape.up, down]) {
    requireIndexable('The stack of experts', [numExperts, numCols, depth]);
  }
  const up = { ...shape.up, gather: false };
  const inLanes = gpu.kernelsFor !== 'gpu' && broadcastRefusal(gpu) === undefined;
  const upKernel: Kernel<typeof vectorKernel | typeof rowKernel> = inLanes
    ? await gpu.kernel(vectorKernel, { ...vectorSpec(up, gpu), DIRECT: true })
    : await gpu.kernel(rowKernel, { ...rowSpec(up, gpu), DIRECT: true });
  const spec = {
    FORMAT: FORMAT_CODE[down.weightDtype],
    WIDE: down.wide ?? false,
    GROUPS: chunkGroups(down.weightDtype),
    BIASED: down.biased,
    RESIDUAL: residual,
  };
  const downKernel = inLanes
    ? await gpu.kernel(downVector, { ...spec, ...broadcastSpec(gpu) })
    : await gpu.kernel(downRow, { ...spec, WG: gpu.rowLanes });
  const { numExperts, depth, numCols, weightDtype } = down;
  const start = scaleStart(weightDtype, [numExperts, numCols, depth]);
  const upParams = { ...expertParams(up), topK };
  return {
    record: (commands, numTokens, t) => {
      commands.dispatch(
        upKernel,
        { ...upParams, numTiles: numTokens * topK },
        {
          x_RK: t.x,
          rowSource: t.ids,
          w1_ENK: t.w1,
          w3_ENK: t.w3 ?? t.w1,
          bias_E2N: t.upBias ?? t.x,
          tiles: t.ids,
          y_RN: t.hidden,
        },
      );
      commands.dispatch(
        downKernel,
        { depth, numCols, scaleStart: start, topK, numTokens },
        {
          h_RK: t.hidden,
          ids_TK: t.ids,
          scores_TK: t.scores,
          w2_ENK: t.w2,
          bias_EN: t.downBias ?? t.x,
          residual_TN: t.residual ?? t.x,
          y_TN: t.y,
        },
      );
    },
  };
}

/**
 * The routed experts of few tokens without a plan: every choice is a row of its own, and the down projection joins
 * the choices of a token at once. Two dispatches instead of plan, both projections and combine.
 */
import { requireGiven, requireGpu } from '../../core/given.ts';
import { ceilDiv } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Kernel } from '../../gpu/context.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { expertParams, rowKernel, rowSpec, vectorKernel, vectorSpec } from './experts.ts';
import { expertShapes, type ExpertWeights, type RoutedShape } from './products.ts';
import { broadcastRefusal, panelSpec, rowLanes } from '../subgroups.ts';
import { chunkGroups, formatOf, scaleStart } from '../weights.ts';
import { requireIndexable } from '../../tensor/weight-bytes.ts';

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
const downSpec = {
  ...{ WG: 32, FORMAT: 0, BF16: false, WIDE: false },
  ...{ GROUPS: 1, BIASED: false, RESIDUAL: false },
};

export const downRow = defineKernel({
  shader: 'experts/down-combine.wgsl',
  spec: { ...downSpec, TWO_STEPS: false },
  params: downParams,
  buffers: downBuffers,
  grid: (_s, p) => [ceilDiv(p.numCols, 8), p.numTokens, 1],
});

const downVector = defineKernel({
  shader: 'experts/down-combine-vector.wgsl',
  spec: { ...downSpec, LANES: 8, LOADS: 4, WHOLE: false },
  params: downParams,
  buffers: downBuffers,
  grid: (s, p) => [ceilDiv(p.numCols, s.WG * 4), p.numTokens, 1],
  features: ['subgroups'],
});

/** What the routed experts of T tokens read and write without a plan: D width, F hidden width, K experts per token. */
export interface DirectTensors {
  /** [T, D] */
  readonly x: Bindable;
  /** u32 [T, K], f32 [T, K] */
  readonly ids: Bindable;
  readonly scores: Bindable;
  readonly weights: ExpertWeights;
  readonly residual?: Bindable | undefined;
  /** [T K, F], scratch */
  readonly hidden: Bindable;
  /** [T, D] */
  readonly y: Bindable;
}

/** The compiled pair of dispatches, to be recorded any number of times. */
export interface DirectExperts {
  record(commands: CommandList, numTokens: number, tensors: DirectTensors): void;
}

/**
 * On a GPU a whole workgroup lies along k and sums through workgroup storage; on a CPU adapter, where a barrier costs
 * more than a row, the lanes of a subgroup do and sum by shuffles.
 * @throws ConfigError for a stack of 2^32 values.
 */
export async function prepareDirectExperts(gpu: Gpu, shape: RoutedShape): Promise<DirectExperts> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  const { topK, residual } = shape;
  const { up, down } = expertShapes(shape, 1, false);
  for (const { numExperts, numCols, depth } of [up, down]) {
    requireIndexable('The stack of experts', [numExperts, numCols, depth]);
  }
  const inLanes = gpu.kernelsFor !== 'gpu' && broadcastRefusal(gpu) === undefined;
  const upKernel: Kernel<typeof vectorKernel | typeof rowKernel> = inLanes
    ? await gpu.kernel(vectorKernel, { ...vectorSpec(up, gpu), DIRECT: true })
    : await gpu.kernel(rowKernel, { ...rowSpec(up, gpu), DIRECT: true });
  const spec = {
    ...formatOf(down.weightDtype, gpu),
    WIDE: down.wide ?? false,
    BIASED: down.biased,
    RESIDUAL: residual,
  };
  const downKernel: Kernel<typeof downVector | typeof downRow> = inLanes
    ? await gpu.kernel(downVector, { ...spec, ...panelSpec(gpu, down, 4) })
    : await gpu.kernel(downRow, { ...spec, ...rowLanes(gpu), GROUPS: chunkGroups(down.weightDtype) });
  const { numExperts, depth, numCols, weightDtype } = down;
  const start = scaleStart(weightDtype, [numExperts, numCols, depth]);
  const upParams = { ...expertParams(up), topK };
  return {
    record: (commands, numTokens, { weights: { w1, w2, w3, upBias, downBias }, ...t }) => {
      commands.dispatch(
        upKernel,
        { ...upParams, numTiles: numTokens * topK },
        {
          x_RK: t.x,
          rowSource: t.ids,
          w1_ENK: w1,
          w3_ENK: w3 ?? w1,
          bias_E2N: upBias ?? t.x,
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
          w2_ENK: w2,
          bias_EN: downBias ?? t.x,
          residual_TN: t.residual ?? t.x,
          y_TN: t.y,
        },
      );
    },
  };
}

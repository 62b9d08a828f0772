/** The kernels of the routed layer in their order. No result is read back between them. */
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type ExpertGemm, type ExpertShape, prepareExpertGemm } from '../kernels/experts.ts';
import { prepareTopk, type GatingShape } from '../kernels/gating.ts';
import {
  planScratchWords,
  prepareReceivePlan,
  prepareRoutePlan,
  tileCapacity,
} from '../kernels/route-plan.ts';
import { prepareCombine, prepareGatherRows } from '../kernels/rows.ts';
import type { WeightDtype, WeightView } from '../kernels/weights.ts';
import type { Activation } from '../model/config.ts';
import { type Tensor, f32Tensor, toF32 } from '../tensor/tensor.ts';
import { biasOf } from './gate-topk.ts';
import { checkColumns } from './matmul.ts';
import { type MoeDtypes, moeDtypes, moeWeights } from './moe-weights.ts';
import type { OpInputs, PreparedOp } from './op.ts';
import {
  type Workspace,
  outputDtype,
  type Rows,
  rowRuns,
  rowView,
  tensorOf,
  withWorkspace,
} from './workspace.ts';

export interface MoeSize extends GatingShape {
  readonly numTokens: number;
  readonly modelDim: number;
  readonly expertDim: number;
  readonly gated: boolean;
  readonly activation: Activation;
  readonly clamp: { readonly alpha: number; readonly beta: number; readonly limit: number };
}

/** The two products of an expert: into its width with the activation, and back out of it. */
export function expertShapes(
  size: MoeSize,
  upDtype: WeightDtype,
  downDtype: WeightDtype,
  upBiased: boolean,
  downBiased: boolean,
): [up: ExpertShape, down: ExpertShape] {
  const { numExperts, modelDim, expertDim, gated, activation, clamp } = size;
  const rowsPerExpert = (size.numTokens * size.topK) / size.numExperts;
  return [
    {
      numExperts,
      depth: modelDim,
      numCols: expertDim,
      weightDtype: upDtype,
      gated,
      biased: upBiased,
      activation,
      rowsPerExpert,
      clamp,
    },
    {
      numExperts,
      depth: expertDim,
      numCols: modelDim,
      weightDtype: downDtype,
      gated: false,
      biased: downBiased,
      activation: 'identity',
      rowsPerExpert,
    },
  ];
}

export function prepareMoe(gpu: Gpu, inputs: OpInputs, size: MoeSize, variant?: string): Promise<PreparedOp> {
  return withWorkspace(gpu, async (space) => {
    const { numTokens, numExperts, modelDim, expertDim, topK } = size;
    checkColumns('moe', gpu, Math.max(modelDim, expertDim));
    const weights = uploadWeights(space, inputs, size);
    const [upShape, downShape] = expertShapes(
      size,
      weights.upDtype,
      weights.downDtype,
      weights.upBias !== undefined,
      weights.downBias !== undefined,
    );
    const [topk, plan, receive, gather, up, down, combine] = await Promise.all([
      prepareTopk(gpu, size),
      prepareRoutePlan(gpu, size),
      prepareReceivePlan(gpu, { numSources: 1, numExperts, localExperts: numExperts }),
      prepareGatherRows(gpu, { width: modelDim, dtype: 'f32' }),
      prepareExpertGemm(gpu, upShape, variant),
      prepareExpertGemm(gpu, downShape, variant),
      prepareCombine(gpu, { width: modelDim, topK, residual: false }),
    ]);
    const x = space.activation('x', tensorOf(inputs, 'x'));
    const logits = space.activation('logits', tensorOf(inputs, 'logits'));
    const bias = biasOf(space, inputs);
    const y = space.output('y', [numTokens, modelDim], outputDtype(inputs));

    const runs = rowRuns(gpu, numTokens, flopsPerToken(size), mostTokens(gpu, size, [up, down]));
    const most = Math.max(0, ...runs.map((rows) => rows.count)) * topK;
    const ids = space.scratch('ids', most);
    const scores = space.scratch('scores', most);
    const start = space.scratch('start', numExperts + 1);
    const slot = space.scratch('slot', most);
    const rowToken = space.scratch('row token', most);
    const scratch = space.scratch('plan scratch', planScratchWords(most, numExperts));
    const receiveStart = space.scratch('receive start', numExperts);
    const gathered = space.scratch('gathered', most * modelDim);
    const hidden = space.scratch('hidden', most * expertDim);
    const expertOut = space.scratch('expert out', most * modelDim);
    // One list serves both products: a tile may have fewer rows than a workgroup has room for.
    const tileRows = Math.min(up.tileRows, down.tileRows);
    const capacity = tileCapacity(most, numExperts, tileRows);
    const tiles = space.scratch('tiles', 4 * capacity);
    const grid = space.scratch('grids', 8);

    const { w1, w2, w3, upBias, downBias } = weights;
    const recordRun = (commands: CommandList, rows: Rows): void => {
      const numRows = rows.count * topK;
      topk.record(commands, rows.count, { logits: rowView(logits, rows, numExperts), bias, ids, scores });
      plan.record(commands, rows.count, { ids, start, slot, rowToken, scratch });
      gather.record(
        commands,
        { numRows, numSource: rows.count },
        { x: rowView(x, rows, modelDim), index: rowToken, y: gathered },
      );
      receive.record(
        commands,
        {
          firstExpert: 0,
          tileRows,
          tileCapacity: capacity,
          columnGroups: up.columnGroups,
          downColumnGroups: down.columnGroups,
        },
        { starts: start, receiveStart, tiles, grid },
      );
      up.record(
        commands,
        { x: gathered, w1: w1.data, w3: w3?.data, bias: upBias, tiles, y: hidden },
        grid.view(0, 16),
      );
      down.record(
        commands,
        { x: hidden, w1: w2.data, bias: downBias, tiles, y: expertOut },
        grid.view(16, 16),
      );
      combine.record(commands, rows.count, { expertOut, slot, scores, y: rowView(y, rows, modelDim) });
    };
    return space.prepared(up.variant, (commands) => {
      for (const rows of runs) recordRun(commands, rows);
    });
  });
}

/** Of the larger product. */
function flopsPerToken({ topK, modelDim, expertDim, gated }: MoeSize): number {
  return 2 * topK * modelDim * expertDim * (gated ? 2 : 1);
}

/** Rows must fit a binding, and tiles, of which each expert's last may not be full, one dimension of a grid. */
function mostTokens(gpu: Gpu, size: MoeSize, gemms: readonly ExpertGemm[]): number {
  const { topK, numExperts, modelDim, expertDim } = size;
  const tiles = gpu.limits.maxComputeWorkgroupsPerDimension - numExperts;
  const byGrid = Math.min(...gemms.map((gemm) => gemm.tileRows)) * tiles;
  const byMemory = gpu.limits.maxStorageBufferBindingSize / (4 * Math.max(modelDim, expertDim));
  return Math.max(1, Math.floor(Math.min(byGrid, byMemory) / topK));
}

interface DeviceWeights extends MoeDtypes {
  readonly w1: WeightView;
  readonly w2: WeightView;
  readonly w3: WeightView | undefined;
  readonly upBias: GpuBuffer | undefined;
  readonly downBias: GpuBuffer | undefined;
}

function uploadWeights(space: Workspace, inputs: OpInputs, size: MoeSize): DeviceWeights {
  const { w1, w2, w3 } = moeWeights(inputs);
  const b2 = inputs.tensors.get('b2');
  const bias = joinedBias(size, inputs.tensors.get('b1'), inputs.tensors.get('b3'));
  return {
    w1: space.weightView('w1', w1),
    w2: space.weightView('w2', w2),
    w3: w3 && space.weightView('w3', w3),
    upBias: bias && space.activation('b1 b3', bias),
    downBias: b2 && space.activation('b2', b2),
    ...moeDtypes(inputs),
  };
}

/** [E, 2F] of a gated expert, its halves zero when not given; else [E, F]. */
function joinedBias(size: MoeSize, b1: Tensor | undefined, b3: Tensor | undefined): Tensor | undefined {
  const { numExperts, expertDim: width, gated } = size;
  if (!gated) return b1;
  if (b1 === undefined && b3 === undefined) return undefined;
  const joined = new Float32Array(numExperts * 2 * width);
  [b1, b3].forEach((b, half) => {
    if (b === undefined) return;
    const values = toF32(b);
    for (let e = 0; e < numExperts; e++) {
      joined.set(values.subarray(e * width, (e + 1) * width), (2 * e + half) * width);
    }
  });
  return f32Tensor([numExperts, 2 * width], joined);
}

/** The kernels of the routed layer in their order. No result is read back between them. */
import { maxOf, minOf } from '../../core/math.ts';
import { ConfigError } from '../../core/errors.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import {
  directPays,
  directRefusal,
  type DirectShape,
  prepareDirectExperts,
} from '../../kernels/experts/direct.ts';
import { type ExpertGemm, type ExpertShape, prepareExpertGemm } from '../../kernels/experts/experts.ts';
import { prepareTopk, type GatingShape } from '../../kernels/routing/gating.ts';
import { prepareLocalPlan } from '../../kernels/routing/local-plan.ts';
import { planScratchWords, tileCapacity } from '../../kernels/routing/route-plan.ts';
import { prepareRouter } from '../../kernels/routing/router.ts';
import { prepareCombine } from '../../kernels/routing/rows.ts';
import type { WeightDtype } from '../../kernels/weights.ts';
import type { Activation } from '../../model/config.ts';
import { type Tensor, f32Tensor, toF32 } from '../../tensor/tensor.ts';
import { biasOf } from './gate-topk.ts';
import { checkColumns } from '../dense/matmul.ts';
import { leaveRange, type MoeDtypes, moeDtypes, moeWeights } from './weights.ts';
import type { OpInputs, PreparedOp } from '../op.ts';
import { type Rows, rowRuns } from '../row-runs.ts';
import { type OpBuffers, outputDtype, rowView, tensorOf, withBuffers } from '../op-buffers.ts';

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

/** The variant without a plan, beside those of the experts' products. */
export const DIRECT = 'direct';

export function directShape(size: MoeSize, up: ExpertShape, down: ExpertShape): DirectShape {
  return { up, down, topK: size.topK, residual: false };
}

export function prepareMoe(gpu: Gpu, inputs: OpInputs, size: MoeSize, variant?: string): Promise<PreparedOp> {
  return withBuffers(gpu, async (space) => {
    checkColumns('moe', gpu, Math.max(size.modelDim, size.expertDim));
    const weights = uploadWeights(space, inputs, size);
    const wide = leaveRange(inputs, size);
    const [up, down] = expertShapes(
      size,
      weights.upDtype,
      weights.downDtype,
      weights.upBias !== undefined,
      weights.downBias !== undefined,
    ).map((shape, i) => ({ ...shape, ...(wide[i] && { wide: true }) })) as [ExpertShape, ExpertShape];
    const layer: Layer = {
      space,
      inputs,
      size,
      weights,
      up,
      down,
      routing: await prepareRouting(gpu, inputs, size),
    };
    const refusal = directRefusal(directShape(size, up, down), size.numTokens);
    if (variant === DIRECT && refusal !== undefined) {
      throw new ConfigError(`moe variant "${DIRECT}" cannot run here: ${refusal}. Leave the variant out.`);
    }
    const pays = directPays(directShape(size, up, down), size.numTokens);
    const direct = variant === DIRECT || (variant === undefined && pays);
    return direct ? prepareDirect(layer) : preparePlanned(layer, variant);
  });
}

interface Layer {
  readonly space: OpBuffers;
  readonly inputs: OpInputs;
  readonly size: MoeSize;
  readonly weights: DeviceWeights;
  readonly up: ExpertShape;
  readonly down: ExpertShape;
  readonly routing: Routing;
}

interface Routing {
  /** Reads `logits`, or `x` and `gate`. */
  bind(space: OpBuffers, x: GpuBuffer, mostTokens: number): RecordRouting;
}

type RecordRouting = (
  commands: CommandList,
  rows: Rows,
  chosen: { readonly ids: GpuBuffer; readonly scores: GpuBuffer },
) => void;

/** Of logits that are given, or of a gate whose logits the router makes. */
async function prepareRouting(gpu: Gpu, inputs: OpInputs, size: MoeSize): Promise<Routing> {
  const { numExperts, modelDim, numTokens } = size;
  const gate = inputs.tensors.get('gate');
  if (gate === undefined) {
    const topk = await prepareTopk(gpu, size);
    return {
      bind: (space) => {
        const logits = space.activation('logits', tensorOf(inputs, 'logits'), 'parts');
        const bias = biasOf(space, inputs, size);
        return (commands, rows, chosen) => {
          topk.record(commands, rows.count, { logits: rowView(logits, rows, numExperts), bias, ...chosen });
        };
      },
    };
  }
  const weightDtype = gate.dtype === 'f16' ? 'f16' : 'f32';
  const router = await prepareRouter(gpu, { ...size, modelDim, weightDtype, numTokens });
  return {
    bind: (space, x, most) => {
      const weights = space.weight('gate', gate);
      const logits = space.scratch('logits', most * numExperts);
      const bias = biasOf(space, inputs, size);
      return (commands, rows, chosen) => {
        const own = { x: rowView(x, rows, modelDim), gate: weights, logits, bias };
        router.record(commands, rows.count, { ...own, ...chosen });
      };
    },
  };
}

/** Few tokens: every choice reads its own weights, and nothing needs a plan. */
async function prepareDirect({
  space,
  inputs,
  size,
  weights,
  up,
  down,
  routing,
}: Layer): Promise<PreparedOp> {
  const { numTokens, modelDim, expertDim, topK } = size;
  const experts = await prepareDirectExperts(space.gpu, directShape(size, up, down));
  const x = space.activation('x', tensorOf(inputs, 'x'));
  const y = space.output('y', [numTokens, modelDim], outputDtype(inputs));
  const numChoices = numTokens * topK;
  const ids = space.scratch('ids', numChoices);
  const scores = space.scratch('scores', numChoices);
  const hidden = space.scratch('hidden', numChoices * expertDim);
  const recordRouting = routing.bind(space, x, numTokens);
  const { w1, w2, w3, upBias, downBias } = weights;
  return space.prepared(DIRECT, (commands) => {
    if (numTokens === 0) return;
    recordRouting(commands, { first: 0, count: numTokens }, { ids, scores });
    experts.record(commands, numTokens, {
      ...{ x, ids, scores, upBias, downBias, hidden, y },
      ...{ w1, w3, w2 },
    });
  });
}

async function preparePlanned(
  { space, inputs, size, weights, up: upShape, down: downShape, routing }: Layer,
  variant: string | undefined,
): Promise<PreparedOp> {
  const { gpu } = space;
  const { numTokens, numExperts, modelDim, expertDim, topK } = size;
  const [plan, up, down, combine] = await Promise.all([
    prepareLocalPlan(gpu, size),
    prepareExpertGemm(gpu, { ...upShape, gather: true }, variant),
    prepareExpertGemm(gpu, downShape, variant),
    prepareCombine(gpu, { width: modelDim, topK, residual: false }),
  ]);
  const x = space.activation('x', tensorOf(inputs, 'x'), 'parts');
  const y = space.output('y', [numTokens, modelDim], outputDtype(inputs), 'parts');
  const runs = rowRuns(gpu, numTokens, flopsPerToken(size), mostTokens(gpu, size, [up, down]), [
    modelDim,
    numExperts,
  ]);
  const mostRows = maxOf(
    runs.map((rows) => rows.count),
    0,
  );
  const most = mostRows * topK;
  const ids = space.scratch('ids', most);
  const scores = space.scratch('scores', most);
  const start = space.scratch('start', numExperts + 1);
  const slot = space.scratch('slot', most);
  const rowToken = space.scratch('row token', most);
  const scratch = space.scratch('plan scratch', planScratchWords(most, numExperts));
  const hidden = space.scratch('hidden', most * expertDim);
  const expertOut = space.scratch('expert out', most * modelDim);
  const recordRouting = routing.bind(space, x, mostRows);
  // One list serves both products: a tile may have fewer rows than a workgroup has room for.
  const tileRows = Math.min(up.tileRows, down.tileRows);
  const capacity = tileCapacity(most, numExperts, tileRows);
  const tiles = space.scratch('tiles', 4 * capacity);
  const grid = space.scratch('grids', 8);
  const tiling = {
    ...{ tileRows, tileCapacity: capacity },
    ...{ columnGroups: up.columnGroups, downColumnGroups: down.columnGroups },
  };
  const { w1, w2, w3, upBias, downBias } = weights;
  const recordRun = (commands: CommandList, rows: Rows): void => {
    recordRouting(commands, rows, { ids, scores });
    plan.record(commands, rows.count, tiling, { ids, start, slot, rowToken, scratch, tiles, grid });
    up.record(
      commands,
      {
        ...{ x: rowView(x, rows, modelDim), rowSource: rowToken, w1, w3 },
        ...{ bias: upBias, tiles, y: hidden },
      },
      grid.view(0, 16),
    );
    down.record(commands, { x: hidden, w1: w2, bias: downBias, tiles, y: expertOut }, grid.view(16, 16));
    combine.record(commands, rows.count, { expertOut, slot, scores, y: rowView(y, rows, modelDim) });
  };
  return space.prepared(up.variant, (commands) => {
    for (const rows of runs) recordRun(commands, rows);
  });
}

/** Of the larger product. */
function flopsPerToken({ topK, modelDim, expertDim, gated }: MoeSize): number {
  return 2 * topK * modelDim * expertDim * (gated ? 2 : 1);
}

/** Rows must fit a binding, and tiles, of which each expert's last may not be full, one dimension of a grid. */
function mostTokens(gpu: Gpu, size: MoeSize, gemms: readonly ExpertGemm[]): number {
  const { topK, numExperts, modelDim, expertDim } = size;
  const tiles = gpu.limits.maxComputeWorkgroupsPerDimension;
  const tileRows = minOf(gemms.map((gemm) => gemm.tileRows));
  const byGrid = Math.max(tiles, tileRows * (tiles - numExperts));
  const byMemory = gpu.limits.maxStorageBufferBindingSize / (4 * Math.max(modelDim, expertDim));
  const most = Math.floor(Math.min(byGrid, byMemory) / topK);
  if (most >= 1) return most;
  throw new ConfigError(
    `moe: the ${topK} chosen experts of one token exceed a grid or a binding of ${gpu.facts.name}. Choose fewer.`,
  );
}

interface DeviceWeights extends MoeDtypes {
  readonly w1: GpuBuffer;
  readonly w2: GpuBuffer;
  readonly w3: GpuBuffer | undefined;
  readonly upBias: GpuBuffer | undefined;
  readonly downBias: GpuBuffer | undefined;
}

function uploadWeights(space: OpBuffers, inputs: OpInputs, size: MoeSize): DeviceWeights {
  const { w1, w2, w3 } = moeWeights(inputs);
  const b2 = inputs.tensors.get('b2');
  const bias = joinedBias(size, inputs.tensors.get('b1'), inputs.tensors.get('b3'));
  return {
    w1: space.matrix('w1', w1),
    w2: space.matrix('w2', w2),
    w3: w3 && space.matrix('w3', w3),
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

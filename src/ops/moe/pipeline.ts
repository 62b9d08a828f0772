/** The kernels of the routed layer in their order. No result is read back between them. */
import { recordAll } from '../../collectives/segments.ts';
import { maxOf } from '../../core/math.ts';
import { ConfigError } from '../../core/errors.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { ExpertWeights, RoutedShape } from '../../kernels/experts/products.ts';
import { prepareTopk, type GatingShape } from '../../kernels/routing/gating.ts';
import { prepareRouter } from '../../kernels/routing/router.ts';
import type { Activation } from '../../model/config.ts';
import { DIRECT, prepareLocalExperts } from '../../routed/local.ts';
import { routedSegments } from '../../routed/routed-experts.ts';
import { type Tensor, f32Tensor, toF32 } from '../../tensor/tensor.ts';
import { biasOf } from './gate-topk.ts';
import { checkColumns } from '../dense/matmul.ts';
import { leaveRange, type MoeDtypes, moeWeights } from './weights.ts';
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

/** What the experts are compiled for. */
export function routedShape(size: MoeSize & MoeDtypes): RoutedShape {
  const { numExperts, topK, modelDim, expertDim, gated, activation, clamp, upDtype, downDtype } = size;
  return {
    ...{ numExperts, topK, modelDim, expertDim, gated, activation, clamp, upDtype, downDtype },
    residual: false,
  };
}

export function prepareMoe(
  gpu: Gpu,
  inputs: OpInputs,
  size: MoeSize & MoeDtypes,
  variant?: string,
): Promise<PreparedOp> {
  return withBuffers(gpu, async (space) => {
    checkColumns('moe', gpu, Math.max(size.modelDim, size.expertDim));
    const { numTokens, modelDim, numExperts, topK } = size;
    const weights = uploadWeights(space, inputs, size);
    const [upWide, downWide] = leaveRange(inputs, size);
    const biased = { upBiased: weights.upBias !== undefined, downBiased: weights.downBias !== undefined };
    const shape = { ...routedShape(size), ...biased, upWide, downWide };
    const routing = await prepareRouting(gpu, inputs, size);
    const experts = await prepareLocalExperts(gpu, shape, { always: numTokens }, variant);
    const direct = experts.variant === DIRECT;
    const bound = direct ? 'whole' : 'parts';
    const x = space.activation('x', tensorOf(inputs, 'x'), bound);
    const y = space.output('y', [numTokens, modelDim], outputDtype(inputs), bound);
    const widths = [modelDim, numExperts];
    const runs = direct
      ? [{ first: 0, count: numTokens }].filter(({ count }) => count > 0)
      : rowRuns(gpu, numTokens, flopsPerToken(size), mostTokens(gpu, size, experts.tileRows), widths);
    const mostRows = maxOf(
      runs.map(({ count }) => count),
      0,
    );
    const ids = space.scratch('ids', mostRows * topK);
    const scores = space.scratch('scores', mostRows * topK);
    const scratch = experts.scratch(mostRows, (name, words) => space.scratch(name, words));
    const recordRouting = routing.bind(space, x, mostRows);
    return space.prepared(experts.variant, (commands) => {
      for (const run of runs) {
        recordRouting(commands, run, { ids, scores });
        const rows = {
          ...{ numTokens: run.count, ids, scores, weights, ...scratch },
          ...(direct ? { x, y } : { x: rowView(x, run, modelDim), y: rowView(y, run, modelDim) }),
        };
        recordAll(commands, routedSegments(experts, [rows]));
      }
    });
  });
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

/** Of the larger product. */
function flopsPerToken({ topK, modelDim, expertDim, gated }: MoeSize): number {
  return 2 * topK * modelDim * expertDim * (gated ? 2 : 1);
}

/** Rows must fit a binding, and tiles, of which each expert's last may not be full, one dimension of a grid. */
function mostTokens(gpu: Gpu, size: MoeSize, tileRows: number): number {
  const { topK, numExperts, modelDim, expertDim } = size;
  const tiles = gpu.limits.maxComputeWorkgroupsPerDimension;
  const byGrid = Math.max(tiles, tileRows * (tiles - numExperts));
  const byMemory = gpu.limits.maxStorageBufferBindingSize / (4 * Math.max(modelDim, expertDim));
  const most = Math.floor(Math.min(byGrid, byMemory) / topK);
  if (most >= 1) return most;
  throw new ConfigError(
    `moe: the ${topK} chosen experts of one token exceed a grid or a binding of ${gpu.facts.name}. Choose fewer.`,
  );
}

function uploadWeights(space: OpBuffers, inputs: OpInputs, size: MoeSize): ExpertWeights {
  const { w1, w2, w3 } = moeWeights(inputs);
  const b2 = inputs.tensors.get('b2');
  const bias = joinedBias(size, inputs.tensors.get('b1'), inputs.tensors.get('b3'));
  return {
    w1: space.matrix('w1', w1),
    w2: space.matrix('w2', w2),
    w3: w3 && space.matrix('w3', w3),
    upBias: bias && space.activation('b1 b3', bias),
    downBias: b2 && space.activation('b2', b2),
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

/** The router: logits = x gate^T and the K experts of highest score, in one dispatch or in two. */
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { MOST_EXPERTS, prepareTopk, type GatingShape } from './gating.ts';
import { prepareGemm, type WeightDtype } from './gemm.ts';
import { powerOfTwo, spread } from './variants.ts';

const router = defineKernel({
  shader: 'gating/router-topk.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256, PIECE: 256, SIGMOID: false, W_F16: false },
  params: { numTokens: 'u32', modelDim: 'u32', numExperts: 'u32', topK: 'u32', renormalize: 'u32' },
  buffers: { x_TD: 'read', gate_ED: 'read', ids_TK: 'write', scores_TK: 'write' },
  grid: (_s, p) => spread(p.numTokens),
});

export interface RouterShape extends GatingShape {
  readonly modelDim: number;
  readonly weightDtype: WeightDtype;
  /** Tokens to expect. */
  readonly numTokens: number;
}

export interface RouterTensors {
  /** [T, D] */
  readonly x: GpuBuffer | BufferView;
  /** [E, D] */
  readonly gate: GpuBuffer | BufferView;
  /** [T, E], scratch: the fused router keeps its logits to itself. */
  readonly logits: GpuBuffer | BufferView;
  /** [T, K] */
  readonly ids: GpuBuffer | BufferView;
  readonly scores: GpuBuffer | BufferView;
}

export interface Router {
  readonly variant: 'fused' | 'two steps';
  record(commands: CommandList, numTokens: number, tensors: RouterTensors): void;
}

/** Up to here a dispatch costs more than a tiled GEMM saves. */
const FEW_TOKENS = 16;

export function prepareRouter(gpu: Gpu, shape: RouterShape): Promise<Router> {
  const fused = shape.numTokens <= FEW_TOKENS && shape.numExperts <= MOST_EXPERTS;
  return fused ? prepareFused(gpu, shape) : prepareTwoSteps(gpu, shape);
}

async function prepareFused(gpu: Gpu, shape: RouterShape): Promise<Router> {
  const { numExperts, topK, modelDim, score, renormalize, weightDtype } = shape;
  const kernel = await gpu.kernel(router, {
    SIGMOID: score === 'sigmoid',
    MAX_EXPERTS: powerOfTwo(numExperts, 64),
    W_F16: weightDtype === 'f16',
    WG: Math.min(gpu.rowLanes, powerOfTwo(numExperts, 16)),
  });
  return {
    variant: 'fused',
    record: (commands, numTokens, { x, gate, ids, scores }) => {
      commands.dispatch(
        kernel,
        { numTokens, modelDim, numExperts, topK, renormalize: Number(renormalize) },
        { x_TD: x, gate_ED: gate, ids_TK: ids, scores_TK: scores },
      );
    },
  };
}

async function prepareTwoSteps(gpu: Gpu, shape: RouterShape): Promise<Router> {
  const { numTokens: numRows, numExperts: numCols, modelDim: depth, weightDtype } = shape;
  const [gemm, topk] = await Promise.all([
    prepareGemm(gpu, { numRows, numCols, depth, weightDtype }),
    prepareTopk(gpu, shape),
  ]);
  return {
    variant: 'two steps',
    record: (commands, numTokens, { x, gate, logits, ids, scores }) => {
      gemm.record(commands, numTokens, { a: x, b: gate, c: logits });
      topk.record(commands, numTokens, { logits, ids, scores });
    },
  };
}

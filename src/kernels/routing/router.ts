/** The router: logits = x gate^T and the K experts of highest score, in one dispatch or in two. */
import { invariant } from '../../core/errors.ts';
import { requireGiven, requireGpu } from '../../core/given.ts';
import { at } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import {
  GATING_PARAMS,
  gatingMode,
  gatingParams,
  gatingRefusal,
  prepareTopk,
  topkVariants,
  type GatingShape,
  type GatingTensors,
} from './gating.ts';
import { prepareGemm, type WeightDtype } from '../dense/gemm.ts';
import { chooseVariant, powerOfTwo, preferring, spread, type Variant } from '../variants.ts';

const router = defineKernel({
  shader: 'gating/router-topk.wgsl',
  spec: {
    ...{ WG: 64, PARTS: 16, MAX_EXPERTS: 256, W_F16: false },
    ...{ SIGMOID: false, BIASED: false, GROUPED: false, TOP2: true },
  },
  params: { ...GATING_PARAMS, modelDim: 'u32' },
  buffers: { x_TD: 'read', gate_ED: 'read', bias_E: 'read', ids_TK: 'write', scores_TK: 'write' },
  grid: (_s, p) => spread(p.numTokens),
});

/** The gating of a router, with the width D of its tokens and how its weights [E, D] are stored. */
export interface RouterShape extends GatingShape {
  readonly modelDim: number;
  readonly weightDtype: WeightDtype;
  /** Tokens to expect. */
  readonly numTokens: number;
  /** A bias [E] is added to the logits. */
  readonly logitBias?: boolean;
  /** The logits are read afterwards. */
  readonly keepsLogits?: boolean;
}

/** What a router reads and writes: the tensors of gating, and before them tokens and weights. */
export interface RouterTensors extends GatingTensors {
  /** [T, D] */
  readonly x: Bindable;
  /** [E, D] */
  readonly gate: Bindable;
  /** [T, E], scratch: the fused router keeps its logits to itself. */
  readonly logits: Bindable;
  /** f32 [E], of a shape whose logits have a bias. */
  readonly logitBias?: Bindable | undefined;
}

/** A compiled router, to be recorded any number of times: one dispatch when fused, otherwise GEMM and gating. */
export interface Router {
  readonly variant: 'fused' | 'two steps';
  record(commands: CommandList, numTokens: number, tensors: RouterTensors): void;
}

/** In two steps the choice is that of gate-topk, by its own variants; the shader stands for them. */
const routerVariants: readonly Variant<RouterShape>[] = [
  {
    name: 'fused',
    idea: 'a workgroup per token makes its logits and chooses: few tokens',
    kernel: router,
    spec: () => ({}),
    refusal: (shape) => {
      if (shape.logitBias) return 'logits with a bias come from a GEMM';
      if (shape.keepsLogits) return 'it keeps its logits to itself';
      return shape.modelDim % 4 === 0
        ? gatingRefusal(shape)
        : `width ${shape.modelDim} is not a multiple of 4`;
    },
  },
  {
    name: 'two steps',
    idea: 'a GEMM, which reads the gate once per tile of tokens, then the top-k',
    kernel: at(topkVariants, 0).kernel,
    spec: () => ({}),
    refusal: gatingRefusal,
  },
];

/**
 * Compiles a router for a shape: fused where that saves more than it costs, in two steps otherwise.
 * @throws ConfigError for sizes beyond what gating is made for.
 */
export function prepareRouter(gpu: Gpu, shape: RouterShape): Promise<Router> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  const order = preferring(routerVariants, savesMore(gpu, shape) ? 'fused' : 'two steps');
  const { name } = chooseVariant('router', order, shape, gpu);
  return name === 'fused' ? prepareFused(gpu, shape) : prepareTwoSteps(gpu, shape);
}

/**
 * Whether the dispatch that fusing saves is worth more than what it costs: a token's workgroup reads the whole gate,
 * where a GEMM reads it once per tile of tokens and spreads the experts over workgroups.
 */
function savesMore(gpu: Gpu, { numTokens, numExperts, modelDim }: RouterShape): boolean {
  if (gpu.kernelsFor === 'gpu') return numTokens <= 16 && numExperts * modelDim <= 1 << 19;
  return numTokens * numExperts * modelDim <= 1 << 16;
}

async function prepareFused(gpu: Gpu, shape: RouterShape): Promise<Router> {
  const { numExperts, modelDim, weightDtype } = shape;
  const onGpu = gpu.kernelsFor === 'gpu';
  const kernel = await gpu.kernel(router, {
    ...gatingMode(shape),
    MAX_EXPERTS: powerOfTwo(numExperts, 64),
    W_F16: weightDtype === 'f16',
    // One subgroup on a CPU adapter, where x is then one address for all lanes; whole lines of the gate on a GPU.
    WG: onGpu ? 256 : gpu.rowLanes,
    PARTS: onGpu ? 16 : 1,
  });
  return {
    variant: 'fused',
    record: (commands, numTokens, { x, gate, bias, ids, scores }) => {
      invariant(
        (bias !== undefined) === (shape.biased === true),
        () => 'router: a bias and no use for it, or none',
      );
      commands.dispatch(
        kernel,
        { ...gatingParams(shape, numTokens), modelDim },
        { x_TD: x, gate_ED: gate, bias_E: bias ?? x, ids_TK: ids, scores_TK: scores },
      );
    },
  };
}

async function prepareTwoSteps(gpu: Gpu, shape: RouterShape): Promise<Router> {
  const { numTokens: numRows, numExperts: numCols, modelDim: depth, weightDtype, logitBias } = shape;
  const [gemm, topk] = await Promise.all([
    prepareGemm(gpu, { numRows, numCols, depth, weightDtype, ...(logitBias && { biased: true }) }),
    prepareTopk(gpu, shape),
  ]);
  return {
    variant: 'two steps',
    record: (commands, numTokens, { x, gate, logits, logitBias: added, bias, ids, scores }) => {
      gemm.record(commands, numTokens, { a: x, b: gate, c: logits, bias: added });
      topk.record(commands, numTokens, { logits, bias, ids, scores });
    },
  };
}

/** Gating: the K experts of highest score per token, from logits or fused with the router GEMM. */
import { ceilDiv } from '../core/math.ts';
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { chooseVariant, powerOfTwo, spread, type Variant } from './variants.ts';

export type ScoreFunction = 'softmax' | 'sigmoid';

export interface GatingShape {
  readonly numExperts: number;
  readonly topK: number;
  readonly score: ScoreFunction;
  readonly renormalize: boolean;
}

const thread = defineKernel({
  shader: 'gating/topk-thread.wgsl',
  spec: { WG: 64, SIGMOID: false },
  params: { numTokens: 'u32', numExperts: 'u32', topK: 'u32', renormalize: 'u32' },
  buffers: { logits_TE: 'read', ids_TK: 'write', scores_TK: 'write' },
  grid: (s, p) => [ceilDiv(p.numTokens, s.WG), 1, 1],
});

const workgroup = defineKernel({
  shader: 'gating/topk-workgroup.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256, SIGMOID: false },
  params: { numTokens: 'u32', numExperts: 'u32', topK: 'u32', renormalize: 'u32' },
  buffers: { logits_TE: 'read', ids_TK: 'write', scores_TK: 'write' },
  grid: (_s, p) => spread(p.numTokens),
});

/** Workgroup storage holds the logits of one token. */
export const MOST_EXPERTS = 2048;

const tooMany = ({ numExperts }: GatingShape): string | undefined =>
  numExperts <= MOST_EXPERTS
    ? undefined
    : `${numExperts} experts exceed the ${MOST_EXPERTS} that fit in workgroup storage`;

/** A CPU adapter wants small workgroups: to spread over its cores, and for cheap barriers. */
const cpuLanes = (gpu: Gpu): { readonly WG?: number } =>
  gpu.facts.kind === 'gpu' ? {} : { WG: gpu.rowLanes };

export const topkVariants: readonly Variant<GatingShape, typeof thread | typeof workgroup>[] = [
  {
    name: 'thread',
    idea: 'a thread per token: few experts, many tokens',
    kernel: thread,
    spec: ({ score }, gpu) => ({ SIGMOID: score === 'sigmoid', ...cpuLanes(gpu) }),
    refusal: () => undefined,
  },
  {
    name: 'workgroup',
    idea: 'a workgroup per token: many experts',
    kernel: workgroup,
    spec: ({ score, numExperts }, gpu) => ({
      SIGMOID: score === 'sigmoid',
      MAX_EXPERTS: powerOfTwo(numExperts, 64),
      ...cpuLanes(gpu),
    }),
    refusal: tooMany,
  },
];

export interface Gating {
  readonly variant: string;
  record(
    commands: CommandList,
    numTokens: number,
    tensors: {
      /** [T, E] */
      readonly logits: GpuBuffer | BufferView;
      readonly ids: GpuBuffer | BufferView;
      readonly scores: GpuBuffer | BufferView;
    },
  ): void;
}

/** A thread walks K + 2 times over its logits: past so many loads a workgroup is the better owner of a token. */
const MOST_LOADS = { gpu: 1024, cpu: 65536 } as const;

/** Top-k of given logits [T, E]. */
export async function prepareTopk(gpu: Gpu, shape: GatingShape, requested?: string): Promise<Gating> {
  const loads = shape.numExperts * (shape.topK + 2);
  const most = gpu.facts.kind === 'gpu' ? MOST_LOADS.gpu : MOST_LOADS.cpu;
  const order = loads > most ? [...topkVariants].reverse() : topkVariants;
  const variant = chooseVariant('gate-topk', order, shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  const { numExperts, topK } = shape;
  return {
    variant: variant.name,
    record: (commands, numTokens, { logits, ids, scores }) => {
      commands.dispatch(
        kernel,
        { numTokens, numExperts, topK, renormalize: Number(shape.renormalize) },
        { logits_TE: logits, ids_TK: ids, scores_TK: scores },
      );
    },
  };
}

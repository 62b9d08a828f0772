/** Gating: the K experts of highest score per token, from logits or fused with the router GEMM. */
import { invariant } from '../../core/errors.ts';
import { requireGiven, requireGpu } from '../../core/given.ts';
import type { GroupLimit, ScoreFunction } from '../../core/gating.ts';
import { ceilDiv } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { chooseVariant, powerOfTwo, spread, type Variant } from '../variants.ts';

export type { GroupLimit, ScoreFunction };

/** How K of E experts are chosen per token, and what becomes of their scores. */
export interface GatingShape {
  readonly numExperts: number;
  readonly topK: number;
  readonly score: ScoreFunction;
  /** Divide the chosen scores by their sum. */
  readonly renormalize: boolean;
  /** A bias [E] is added to the scores for the choice only. */
  readonly biased?: boolean | undefined;
  readonly groups?: GroupLimit | undefined;
  /** Factor of the chosen scores, 1 by default. */
  readonly scale?: number | undefined;
}

export const GATING_PARAMS = {
  numTokens: 'u32',
  numExperts: 'u32',
  topK: 'u32',
  renormalize: 'u32',
  numGroups: 'u32',
  groupsKept: 'u32',
  scale: 'f32',
} as const;
const buffers = { logits_TE: 'read', bias_E: 'read', ids_TK: 'write', scores_TK: 'write' } as const;
export const GATING_INTERFACE = { params: GATING_PARAMS, buffers };
const mode = { SIGMOID: false, BIASED: false, GROUPED: false, TOP2: true };

const thread = defineKernel({
  shader: 'gating/topk-thread.wgsl',
  spec: { WG: 64, SLOTS: 2, ...mode },
  params: GATING_PARAMS,
  buffers,
  grid: (s, p) => spread(ceilDiv(p.numTokens, s.WG)),
});

const workgroup = defineKernel({
  shader: 'gating/topk-workgroup.wgsl',
  spec: { WG: 64, MAX_EXPERTS: 256, ...mode },
  params: GATING_PARAMS,
  buffers,
  grid: (_s, p) => spread(p.numTokens),
});

/** What every variant is made and checked for. Logits of so many fit into workgroup storage. */
export const MOST_EXPERTS = 1024;
/** Four registers of four in topk-thread.wgsl. */
export const MOST_CHOICES = 16;
/** A bit each of a u32 in topk-thread.wgsl. */
export const MOST_GROUPS = 32;

/** Why no variant takes this shape; undefined when all do. */
export function gatingRefusal({ numExperts, topK, groups }: GatingShape): string | undefined {
  if (numExperts > MOST_EXPERTS)
    return `${numExperts} experts exceed the ${MOST_EXPERTS} that gating is made for`;
  if (topK > MOST_CHOICES) return `k = ${topK} exceeds the ${MOST_CHOICES} choices that gating is made for`;
  if (groups === undefined) return undefined;
  if (groups.count > MOST_GROUPS)
    return `${groups.count} groups exceed the ${MOST_GROUPS} that gating is made for`;
  if (groups.kept > MOST_CHOICES) return `${groups.kept} groups kept exceed ${MOST_CHOICES}`;
  return undefined;
}

/** A CPU adapter wants small workgroups: to spread over its cores, and for cheap barriers. */
const cpuLanes = (gpu: Gpu): { readonly WG?: number } =>
  gpu.kernelsFor === 'gpu' ? {} : { WG: gpu.rowLanes };

/** How a shape's mode is compiled into a kernel. */
export function gatingMode({ score, biased = false, groups }: GatingShape): typeof mode {
  return {
    SIGMOID: score === 'sigmoid',
    BIASED: biased,
    GROUPED: groups !== undefined,
    TOP2: groups?.score !== 'max',
  };
}

/** What of a shape is written per dispatch. */
export function gatingParams(shape: GatingShape, numTokens: number) {
  const { numExperts, topK, renormalize, groups, scale = 1 } = shape;
  return {
    ...{ numTokens, numExperts, topK, scale },
    renormalize: Number(renormalize),
    numGroups: groups?.count ?? 1,
    groupsKept: groups?.kept ?? 1,
  };
}

/** The variants of gating from logits, [T, E] to ids and scores [T, K]. */
export const topkVariants: readonly Variant<GatingShape, typeof thread | typeof workgroup>[] = [
  {
    name: 'thread',
    idea: 'a thread per token, the best in its registers: many tokens',
    kernel: thread,
    spec: (shape, gpu) => ({
      ...gatingMode(shape),
      SLOTS: ceilDiv(Math.max(shape.topK, shape.groups?.kept ?? 0), 4),
      ...cpuLanes(gpu),
    }),
    refusal: gatingRefusal,
  },
  {
    name: 'workgroup',
    idea: 'a workgroup per token, logits in its storage: many experts on a GPU',
    kernel: workgroup,
    spec: (shape, gpu) => ({
      ...gatingMode(shape),
      MAX_EXPERTS: powerOfTwo(shape.numExperts, 64),
      ...cpuLanes(gpu),
    }),
    refusal: gatingRefusal,
  },
];

/** What gating reads and writes, for T tokens, E experts and K of them per token; f32, but ids u32. */
export interface GatingTensors {
  /** [T, E] */
  readonly logits: Bindable;
  /** [E], when the shape is biased. */
  readonly bias?: Bindable | undefined;
  /** [T, K] */
  readonly ids: Bindable;
  readonly scores: Bindable;
}

/** A compiled gating, to be recorded any number of times. */
export interface Gating {
  readonly variant: string;
  record(commands: CommandList, numTokens: number, tensors: GatingTensors): void;
}

/** On a GPU a thread walks its own row of logits, line by line: past so many a workgroup is the better owner. A guess. */
const MOST_OF_A_THREAD = 32;

/** Top-k of given logits [T, E]. @throws ConfigError for sizes beyond what gating is made for. */
export async function prepareTopk(gpu: Gpu, shape: GatingShape, requested?: string): Promise<Gating> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  const byWorkgroup = gpu.kernelsFor === 'gpu' && shape.numExperts > MOST_OF_A_THREAD;
  const order = byWorkgroup ? [...topkVariants].reverse() : topkVariants;
  const variant = chooseVariant('gate-topk', order, shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  return {
    variant: variant.name,
    record: (commands, numTokens, { logits, bias, ids, scores }) => {
      invariant(
        (bias !== undefined) === (shape.biased === true),
        () => 'gate-topk: a bias and no use for it, or none',
      );
      commands.dispatch(kernel, gatingParams(shape, numTokens), {
        ...{ logits_TE: logits, bias_E: bias ?? logits, ids_TK: ids, scores_TK: scores },
      });
    },
  };
}

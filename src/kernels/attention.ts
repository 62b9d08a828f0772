/**
 * Attention of a ragged batch against a KV cache: o = softmax(scale q k^T) v, grouped-query when Hkv < H.
 * Queries are the last qLen of kvLen positions of their sequence.
 */
import { invariant } from '../core/errors.ts';
import { ceilDiv } from '../core/math.ts';
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { chooseVariant, preferring, type Variant } from './variants.ts';

type Source = GpuBuffer | BufferView;

export interface AttentionShape {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly causal: boolean;
  readonly scale: number;
  /** Rows of one sequence in the cache. */
  readonly cacheLength: number;
  /** Queries per sequence to expect: one asks for the decode variant. */
  readonly queries: number;
  /** Keys that a query sees at most, its own position included (causal only); all by default. */
  readonly window?: number;
  /** Scores become softcap * tanh(score / softcap); they stay by default. */
  readonly softcap?: number;
  /** A logit per head that joins the denominator and weighs no value. */
  readonly sinks?: boolean;
}

const params = {
  numHeads: 'u32',
  numKvHeads: 'u32',
  headDim: 'u32',
  cacheLength: 'u32',
  maxQueries: 'u32',
  numSequences: 'u32',
  causal: 'u32',
  scale: 'f32',
  window: 'u32',
  softcap: 'f32',
} as const;
const buffers = {
  q_THD: 'read',
  k_RHD: 'read',
  v_RHD: 'read',
  sequences: 'read',
  o_THD: 'write',
  sinks_H: 'read',
} as const;

const plain = defineKernel({
  shader: 'attention/plain.wgsl',
  spec: { WG: 32, HEAD_DIM: 64, SINKS: false, SOFTCAP: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.maxQueries, s.WG), p.numHeads, p.numSequences],
});

const flash = defineKernel({
  shader: 'attention/flash.wgsl',
  spec: { WG: 32, TILE: 16, HEAD_VECS: 16, SINKS: false, SOFTCAP: false, UNROLL: true },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.maxQueries, s.WG), p.numHeads, p.numSequences],
});

const decode = defineKernel({
  shader: 'attention/decode.wgsl',
  spec: { WG: 64, CHUNK: 64, HEAD_DIM: 64, SINKS: false, SOFTCAP: false },
  params,
  buffers,
  grid: (_s, p) => [p.maxQueries, p.numHeads, p.numSequences],
});

const SUBGROUP_ROWS = 16;

/** Columns come in slabs of 64; a slab scores its keys anew. */
const slabs = (headVecs: number): number => ceilDiv(headVecs, 16);

const subgroup = defineKernel({
  shader: 'attention/subgroup.wgsl',
  spec: { HEAD_VECS: 16, SINKS: false, SOFTCAP: false },
  params,
  buffers,
  grid: (s, p) => [ceilDiv(p.maxQueries, SUBGROUP_ROWS) * slabs(s.HEAD_VECS), p.numHeads, p.numSequences],
  features: ['subgroups'],
});

const decodeSubgroup = defineKernel({
  shader: 'attention/decode-subgroup.wgsl',
  spec: { HEAD_VECS: 16, SINKS: false, SOFTCAP: false },
  params,
  buffers,
  grid: (s, p) => [p.maxQueries * slabs(s.HEAD_VECS), p.numHeads, p.numSequences],
  features: ['subgroups'],
});

/** Registers of a thread and workgroup storage set this bound; models in use have 64, 128 or 256. */
const MOST_HEAD_DIM = 256;

/** What a model's kind of attention compiles in. */
const kind = ({ sinks = false, softcap = 0 }: AttentionShape): { SINKS: boolean; SOFTCAP: boolean } => ({
  SINKS: sinks,
  SOFTCAP: softcap > 0,
});
const oneHead = (shape: AttentionShape) => ({ ...kind(shape), HEAD_DIM: shape.headDim });
const inFours = (shape: AttentionShape): string | undefined =>
  tooWide(shape) ??
  (shape.headDim % 4 === 0 ? undefined : `head size ${shape.headDim} is not a multiple of 4`);
const tooWide = ({ headDim }: AttentionShape): string | undefined =>
  headDim <= MOST_HEAD_DIM ? undefined : `head size ${headDim} exceeds ${MOST_HEAD_DIM}`;

const headVecs = (shape: AttentionShape) => ({ ...kind(shape), HEAD_VECS: shape.headDim / 4 });
const eightLanes = (gpu: Gpu): string | undefined => {
  if (!gpu.has('subgroups')) return 'the adapter has no subgroups';
  const { subgroupMinSize = 0 } = gpu.device.adapterInfo;
  return subgroupMinSize >= 8 ? undefined : `subgroups may have ${subgroupMinSize} lanes; 8 are needed`;
};

export const attentionVariants: readonly Variant<
  AttentionShape,
  typeof plain | typeof flash | typeof decode | typeof subgroup | typeof decodeSubgroup
>[] = [
  {
    name: 'flash',
    idea: 'tiles of keys in workgroup storage, online softmax',
    kernel: flash,
    // How long a head the adapter's compiler unrolls within a second.
    spec: (shape, gpu) => ({
      ...headVecs(shape),
      UNROLL: gpu.facts.kind === 'gpu' || shape.headDim <= 32,
      TILE: Math.min(32, Math.max(4, Math.floor(1024 / shape.headDim))),
    }),
    refusal: inFours,
  },
  {
    name: 'decode',
    idea: 'a workgroup per query, lanes over keys, online softmax',
    kernel: decode,
    spec: (shape, gpu) => ({ ...oneHead(shape), WG: gpu.rowLanes }),
    refusal: inFours,
  },
  {
    name: 'subgroup',
    idea: '16 rows per subgroup of 8 lanes: a load of k or v serves them all, q and weights are shuffled',
    kernel: subgroup,
    spec: headVecs,
    refusal: (shape, gpu) => inFours(shape) ?? eightLanes(gpu),
  },
  {
    name: 'decode-subgroup',
    idea: 'a subgroup of 8 lanes per query, lanes over keys and then columns, no barrier',
    kernel: decodeSubgroup,
    spec: headVecs,
    refusal: (shape, gpu) => inFours(shape) ?? eightLanes(gpu),
  },
  {
    name: 'plain',
    idea: 'a thread per query, two passes over the keys',
    kernel: plain,
    spec: oneHead,
    refusal: tooWide,
  },
];

export interface Attention {
  readonly variant: string;
  /**
   * `sequences`: 4 u32 each: first row of q, qLen, kvLen, cache slot. `maxQueries` is the longest qLen.
   */
  record(
    commands: CommandList,
    p: { numSequences: number; maxQueries: number },
    t: { q: Source; k: Source; v: Source; sequences: Source; o: Source; sinks?: Source },
  ): void;
}

/** On CPU adapters a load costs tens of multiply-adds and a barrier more; a GPU starts with workgroup tiles. */
function bestFirst(gpu: Gpu, { queries }: AttentionShape): typeof attentionVariants {
  const few = queries <= 4;
  const order = few ? preferring(attentionVariants, 'decode') : attentionVariants;
  return gpu.facts.kind === 'gpu' ? order : preferring(order, few ? 'decode-subgroup' : 'subgroup');
}

/** @throws ConfigError when the requested variant does not exist or cannot run. */
export async function prepareAttention(
  gpu: Gpu,
  shape: AttentionShape,
  requested?: string,
): Promise<Attention> {
  const order = bestFirst(gpu, shape);
  const variant = chooseVariant('attention', order, shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  const { numHeads, numKvHeads, headDim, cacheLength, scale, window = 0, softcap = 0 } = shape;
  const fixed = { numHeads, numKvHeads, headDim, cacheLength, scale, window, softcap };
  return {
    variant: variant.name,
    record: (commands, p, { q, k, v, sequences, o, sinks }) => {
      invariant(
        (sinks !== undefined) === (shape.sinks ?? false),
        () => 'sinks are given exactly when the kernel was prepared for them',
      );
      commands.dispatch(
        kernel,
        { ...fixed, ...p, causal: Number(shape.causal) },
        { q_THD: q, k_RHD: k, v_RHD: v, sequences, o_THD: o, sinks_H: sinks ?? q },
      );
    },
  };
}

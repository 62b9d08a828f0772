/**
 * The kernels of attention: prefill and decode, for GPUs and CPU adapters. Any of them takes a window, a soft cap,
 * sinks, grouped queries, a cache in f32 or f16, and pages.
 */
import { ceilDiv } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { type QueryBlock, wholeGrid } from './grid.ts';
import { hasManyRegisters, heldVecs } from '../registers.ts';
import { lanesRefusal } from '../subgroups.ts';
import type { Variant } from '../variants.ts';
import {
  ATTENTION_INTERFACE,
  type AttentionShape,
  buffers,
  headVecs,
  inFours,
  kind,
  splitParams,
  STORAGE,
  tooWide,
  wholeParams,
} from './attention-family.ts';
import { matrixAttention, matrixVariant } from './attention-matrix.ts';

export { ATTENTION_INTERFACE, type AttentionShape };

const plain = defineKernel({
  shader: 'attention/plain.wgsl',
  spec: { WG: 32, HEAD_DIM: 64, PAGED: false, KV_F16: false, SINKS: false, SOFTCAP: false },
  params: wholeParams,
  buffers,
  grid: (s, p) => wholeGrid({ queries: s.WG, workgroups: 1 }, p),
});

const flash = defineKernel({
  shader: 'attention/flash.wgsl',
  spec: { WG: 32, TILE: 16, HEAD_VECS: 16, ...STORAGE, SINKS: false, SOFTCAP: false, UNROLL: true },
  params: wholeParams,
  buffers,
  grid: (s, p) => wholeGrid({ queries: s.WG, workgroups: 1 }, p),
});

/** Queries of a block of blocked.wgsl. */
const BLOCK_ROWS = 32;

/** Columns come in slabs of 128; a slab scores its keys anew. */
const wideSlabs = (headVecs: number): number => ceilDiv(headVecs, 32);

const blocked = defineKernel({
  shader: 'attention/blocked.wgsl',
  spec: {
    ...{ SIDE: 8, COLUMNS: 2, VALUES: 16, HELD: 0, AHEAD: false, HEAD_VECS: 16 },
    ...STORAGE,
    ...{ SINKS: false, SOFTCAP: false },
  },
  params: wholeParams,
  buffers,
  grid: (s, p) => wholeGrid({ queries: BLOCK_ROWS, workgroups: wideSlabs(s.HEAD_VECS) }, p),
});

const decode = defineKernel({
  shader: 'attention/decode.wgsl',
  spec: { WG: 64, CHUNK: 64, HEAD_VECS: 16, SPLIT: false, ...STORAGE, SINKS: false, SOFTCAP: false },
  params: splitParams,
  buffers,
  grid: (_s, p) => wholeGrid({ queries: 1, workgroups: p.numParts }, p),
});

const decodeHeads = defineKernel({
  shader: 'attention/decode-heads.wgsl',
  spec: {
    ...{ WG: 64, LANES: 16, HEADS: 1, KEYS: 4, HEAD_VECS: 16, SPLIT: false },
    ...STORAGE,
    ...{ SINKS: false, SOFTCAP: false },
  },
  params: splitParams,
  buffers,
  grid: (s, p) => wholeGrid({ queries: 1, workgroups: p.numParts, heads: s.HEADS }, p),
  features: ['subgroups'],
});

/** Queries of a block of subgroup.wgsl. */
const SUBGROUP_ROWS = 16;

/** Columns come in slabs of 64; a slab scores its keys anew. */
const slabs = (headVecs: number): number => ceilDiv(headVecs, 16);

const subgroup = defineKernel({
  shader: 'attention/subgroup.wgsl',
  spec: { HEAD_VECS: 16, ...STORAGE, SINKS: false, SOFTCAP: false },
  params: wholeParams,
  buffers,
  grid: (s, p) => wholeGrid({ queries: SUBGROUP_ROWS, workgroups: slabs(s.HEAD_VECS) }, p),
  features: ['subgroups'],
});

const decodeSubgroup = defineKernel({
  shader: 'attention/decode-subgroup.wgsl',
  spec: { HEAD_VECS: 16, SPLIT: false, ...STORAGE, SINKS: false, SOFTCAP: false },
  params: splitParams,
  buffers,
  grid: (s, p) => wholeGrid({ queries: 1, workgroups: slabs(s.HEAD_VECS) * p.numParts }, p),
  features: ['subgroups'],
});

/** A part leaves the sink to the merge. */
const parts = (shape: AttentionShape) => ({ ...headVecs(shape), SPLIT: true, SINKS: false });
/** Parts are kept in memory until they are merged, for every query. A guess. */
const MOST_SPLIT_QUERIES = 16;
const fewQueries = (shape: AttentionShape): string | undefined =>
  inFours(shape) ??
  (shape.queries <= MOST_SPLIT_QUERIES
    ? undefined
    : `${shape.queries} queries exceed the ${MOST_SPLIT_QUERIES} it keeps parts for`);
const eightLanes = (gpu: Gpu): string | undefined => lanesRefusal(gpu, 8);

/** Lanes side by side on the vectors of a key. */
const teamLanes = (gpu: Gpu): number => Math.min(16, gpu.device.adapterInfo.subgroupMinSize ?? 0);
const teams = (gpu: Gpu): string | undefined => lanesRefusal(gpu, 4);
/** Whether heads with the same keys may share a workgroup; all of them at best. */
export const sharesHeads = (gpu: Gpu): boolean => teams(gpu) === undefined;

/** Heads that share a workgroup's loads: as many of those with one head of keys as registers hold. */
function headsTogether({ numHeads, numKvHeads, headDim }: AttentionShape, gpu: Gpu): number {
  const group = numHeads / numKvHeads;
  const most = Math.max(1, Math.floor(heldVecs(gpu) / ceilDiv(headDim / 4, teamLanes(gpu))));
  for (let heads = Math.min(most, group); heads > 1; heads--) if (group % heads === 0) return heads;
  return 1;
}

/**
 * vec4 of k that a lane has under way, and as many of v: of halves as many bytes, where scores of more keys find registers. For
 * several heads AMD's compiler does not unroll that many keys of each.
 */
function vecsUnderWay(shape: AttentionShape, gpu: Gpu): number {
  const halves = shape.kvDtype === 'f16' && headsTogether(shape, gpu) === 1;
  return halves && hasManyRegisters(gpu) ? 8 : 4;
}
const inTeams = (shape: AttentionShape, gpu: Gpu) => ({
  WG: gpu.kernelsFor === 'gpu' ? 64 : 32,
  LANES: teamLanes(gpu),
  HEADS: headsTogether(shape, gpu),
  KEYS: Math.max(1, Math.floor(vecsUnderWay(shape, gpu) / ceilDiv(shape.headDim / 4, teamLanes(gpu)))),
});
const byHeads = (shape: AttentionShape, numParts: number, gpu: Gpu): QueryBlock => ({
  ...{ queries: 1, workgroups: numParts, heads: headsTogether(shape, gpu) },
});

/** A variant of attention, with how its workgroups cover the queries. */
export interface AttentionVariant extends Variant<
  AttentionShape,
  | typeof plain
  | typeof flash
  | typeof blocked
  | typeof decode
  | typeof decodeHeads
  | typeof subgroup
  | typeof decodeSubgroup
  | typeof matrixAttention
> {
  /** How its grid covers queries, with the keys in so many parts. */
  readonly block: (shape: AttentionShape, numParts: number, gpu: Gpu) => QueryBlock;
  /** Its keys are cut into parts, which a second kernel merges. */
  readonly split?: boolean;
}

const byQuery = (_shape: AttentionShape, numParts: number): QueryBlock => ({
  queries: 1,
  workgroups: numParts,
});
const bySlab = (shape: AttentionShape, numParts: number): QueryBlock => ({
  queries: 1,
  workgroups: slabs(shape.headDim / 4) * numParts,
});

/** NVIDIA's compiler keeps an array that loops index in memory. */
const holdsQueries = (gpu: Gpu, headDim: number): boolean =>
  hasManyRegisters(gpu) && gpu.device.adapterInfo.vendor !== 'nvidia' && headDim <= 64;

/** The variants of attention, in the order of their table; the device and the batch decide which one leads. */
export const attentionVariants: readonly AttentionVariant[] = [
  {
    name: 'blocked',
    idea: 'two products of tiles in workgroup storage, 4 x 4 scores and 4 x 8 or 4 x 16 sums per thread',
    kernel: blocked,
    block: ({ headDim }) => ({ queries: BLOCK_ROWS, workgroups: wideSlabs(headDim / 4) }),
    spec: (shape, gpu) => ({
      ...headVecs(shape),
      AHEAD: hasManyRegisters(gpu),
      HELD: holdsQueries(gpu, shape.headDim) ? ceilDiv(shape.headDim, BLOCK_ROWS) : 0,
      COLUMNS: shape.headDim <= 32 ? 1 : shape.headDim <= 64 ? 2 : 4,
      VALUES: shape.headDim <= 64 ? 16 : 8,
    }),
    refusal: inFours,
  },
  {
    name: 'flash',
    idea: 'tiles of keys in workgroup storage, online softmax',
    kernel: flash,
    block: () => ({ queries: flash.spec.WG, workgroups: 1 }),
    // How long a head the adapter's compiler unrolls within a second.
    spec: (shape, gpu) => ({
      ...headVecs(shape),
      UNROLL: gpu.kernelsFor === 'gpu' || shape.headDim <= 32,
      TILE: Math.min(32, Math.max(4, Math.floor(1024 / shape.headDim))),
    }),
    refusal: inFours,
  },
  {
    name: 'decode-heads',
    idea: 'lanes side by side on a key, many loads under way, heads that share keys in one workgroup',
    kernel: decodeHeads,
    block: byHeads,
    spec: (shape, gpu) => ({ ...headVecs(shape), ...inTeams(shape, gpu) }),
    refusal: (shape, gpu) => inFours(shape) ?? teams(gpu),
  },
  {
    name: 'decode',
    idea: 'a workgroup per query, lanes over keys, online softmax',
    kernel: decode,
    block: byQuery,
    spec: (shape, gpu) => ({ ...headVecs(shape), WG: gpu.rowLanes }),
    refusal: inFours,
  },
  {
    name: 'subgroup',
    idea: '16 rows per subgroup of 8 lanes: a load of k or v serves them all, q and weights are shuffled',
    kernel: subgroup,
    block: ({ headDim }) => ({ queries: SUBGROUP_ROWS, workgroups: slabs(headDim / 4) }),
    spec: headVecs,
    refusal: (shape, gpu) => inFours(shape) ?? eightLanes(gpu),
  },
  {
    name: 'decode-subgroup',
    idea: 'a subgroup of 8 lanes per query, lanes over keys and then columns, no barrier',
    kernel: decodeSubgroup,
    block: bySlab,
    spec: headVecs,
    refusal: (shape, gpu) => inFours(shape) ?? eightLanes(gpu),
  },
  {
    name: 'split-heads',
    split: true,
    idea: 'decode-heads with the keys cut into parts, and a merge',
    kernel: decodeHeads,
    block: byHeads,
    spec: (shape, gpu) => ({ ...parts(shape), ...inTeams(shape, gpu) }),
    refusal: (shape, gpu) => fewQueries(shape) ?? teams(gpu),
  },
  {
    name: 'split',
    split: true,
    idea: 'decode with the keys cut into parts, a workgroup for each, and a merge: for few sequences and heads',
    kernel: decode,
    block: byQuery,
    spec: (shape, gpu) => ({ ...parts(shape), WG: gpu.rowLanes }),
    refusal: fewQueries,
  },
  {
    name: 'split-subgroup',
    split: true,
    idea: 'decode-subgroup with the keys cut into parts, and a merge',
    kernel: decodeSubgroup,
    block: bySlab,
    spec: parts,
    refusal: (shape, gpu) => fewQueries(shape) ?? eightLanes(gpu),
  },
  {
    name: 'plain',
    idea: 'a thread per query, two passes over the keys',
    kernel: plain,
    block: () => ({ queries: plain.spec.WG, workgroups: 1 }),
    spec: (shape) => ({ ...kind(shape), HEAD_DIM: shape.headDim }),
    refusal: tooWide,
  },
  matrixVariant,
];

/** What all kernels of attention have in common: shape, buffers, parameters, what is compiled in. */

/** What is known of attention before its kernel is compiled: heads, mask, cache, and the batch to expect. */
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
  /** Sequences at once to expect; one by default. */
  readonly numSequences?: number;
  /** Keys that a query sees at most, its own position included (causal only); all by default. */
  readonly window?: number;
  /** Scores become softcap * tanh(score / softcap); they stay by default. */
  readonly softcap?: number;
  /** A logit per head that joins the denominator and weighs no value. */
  readonly sinks?: boolean;
  /** How k and v are stored, f16 packed two to a word; f32 by default. */
  readonly kvDtype?: 'f32' | 'f16';
  /** Keys of a page where a table names each sequence's pages; without, its rows follow one another. */
  readonly pageSize?: number;
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
  pageSize: 'u32',
} as const;
const first = { firstQuery: 'u32', firstHead: 'u32', firstSequence: 'u32' } as const;
export const wholeParams = { ...params, ...first } as const;
export const splitParams = { ...params, numParts: 'u32', keysPerPart: 'u32', ...first } as const;
export const buffers = {
  q_THD: 'read',
  k_RHD: 'read',
  v_RHD: 'read',
  sequences: 'read',
  o_THD: 'write',
  sinks_H: 'read',
} as const;

/** Of a whole attention: a part's is this and where it begins. */
export const ATTENTION_INTERFACE = { params: wholeParams, buffers };

export const STORAGE = { PAGED: false, KV_F16: false, Kv: 'vec4<u32>', LAST: 3 };

/** Registers of a thread and workgroup storage set this bound; models in use have 64, 128 or 256. */
const MOST_HEAD_DIM = 256;

/** What a model's kind of attention compiles in, and how its cache is stored. */
export const kind = ({ sinks = false, softcap = 0, kvDtype = 'f32', pageSize = 0 }: AttentionShape) => ({
  SINKS: sinks,
  SOFTCAP: softcap > 0,
  PAGED: pageSize > 0,
  KV_F16: kvDtype === 'f16',
});
export const headVecs = (shape: AttentionShape) => ({
  ...kind(shape),
  HEAD_VECS: shape.headDim / 4,
  ...(shape.kvDtype === 'f16' && { Kv: 'vec2<u32>', LAST: 1 }),
});
export const inFours = (shape: AttentionShape): string | undefined =>
  tooWide(shape) ??
  (shape.headDim % 4 === 0 ? undefined : `head size ${shape.headDim} is not a multiple of 4`);
export const tooWide = ({ headDim }: AttentionShape): string | undefined =>
  headDim <= MOST_HEAD_DIM ? undefined : `head size ${headDim} exceeds ${MOST_HEAD_DIM}`;

/** Attention with grouped queries. B sequences, S positions, Hq query heads, Hkv key/value heads of Dh. */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { ConfigError } from '../core/errors.ts';
import { addScaled, dot, f64At, softmax } from './f64.ts';
import { matmul } from './matmul.ts';
import { rope } from './rope.ts';

export interface AttentionInput {
  /** [B, Sq, Hq, Dh] */
  readonly q: Float64Array;
  /** [B, Skv, Hkv, Dh] */
  readonly k: Float64Array;
  /** [B, Skv, Hkv, Dh] */
  readonly v: Float64Array;
  readonly batch: number;
  /** Sq. The queries are the last Sq of the Skv positions. */
  readonly numQueries: number;
  /** Skv */
  readonly numKeys: number;
  readonly numHeads: number;
  /** Query head h reads key/value head floor(h / (Hq / Hkv)). */
  readonly numKvHeads: number;
  readonly headDim: number;
  /** True: a query sees its own position and those before it. */
  readonly causal: boolean;
  /** Of the scores; 1 / sqrt(Dh) unless given. */
  readonly scale?: number;
  /** A query sees at most this many keys, its own position the last of them; all when 0 or absent. Causal only. */
  readonly window?: number;
  /** Scores become softcap tanh(score / softcap) (Gemma 2); they stay when 0 or absent. */
  readonly softcap?: number;
  /**
   * [Hq] logits that join the denominator of their head and weigh no value (gpt-oss). -Infinity: none; NaN or Infinity
   * makes all of its head's rows NaN.
   */
  readonly sinks?: Float64Array | undefined;
}

/** softmax(scale q k^T) v per head -> [B, Sq, Hq, Dh]. @throws ConfigError for sizes that do not fit each other. */
export const attention = piecewise(function* (input: AttentionInput): Pieces<Float64Array> {
  const y = new Float64Array(input.q.length);
  for (const head of heads(input)) {
    addHead(y, head, input);
    yield;
  }
  return y;
});

function addHead(y: Float64Array, head: Head, { v, headDim }: AttentionInput): void {
  const weights = weigh(head.scores, head.sink);
  for (let j = 0; j < weights.length; j++) {
    addScaled(y, head.query, f64At(weights, j), v, head.first + j * head.step, headDim);
  }
}

/** A query head and what it sees. */
export interface Head {
  /** Where it starts in q. */
  readonly query: number;
  /** Scaled, against the keys that it sees. */
  readonly scores: Float64Array;
  /** Where the first of them (and its value) starts, and how far it is from one to the next. */
  readonly first: number;
  readonly step: number;
  readonly sink: number | undefined;
}

/** All query heads in turn. @throws ConfigError for sizes that do not fit each other. */
export function* heads(input: AttentionInput): Generator<Head, void, undefined> {
  checkSizes(input);
  const { batch, numQueries, numKeys, numHeads, numKvHeads, headDim, window = 0 } = input;
  const scale = input.scale ?? 1 / Math.sqrt(headDim);
  const step = numKvHeads * headDim;
  for (let b = 0; b < batch; b++) {
    for (let s = 0; s < numQueries; s++) {
      const visible = input.causal ? numKeys - numQueries + s + 1 : numKeys;
      for (let h = 0; h < numHeads; h++) {
        const query = ((b * numQueries + s) * numHeads + h) * headDim;
        const kvHead = Math.floor(h / (numHeads / numKvHeads));
        const unseen = window === 0 ? 0 : Math.max(0, visible - window);
        const first = ((b * numKeys + unseen) * numKvHeads + kvHead) * headDim;
        const scores = scoresOf(input, scale, { query, first, step, count: visible - unseen });
        yield { query, scores, first, step, sink: input.sinks?.[h] };
      }
    }
  }
}

function scoresOf(
  { q, k, headDim, softcap = 0 }: AttentionInput,
  scale: number,
  { query, first, step, count }: Pick<Head, 'query' | 'first' | 'step'> & { readonly count: number },
): Float64Array {
  const scores = new Float64Array(count);
  for (let j = 0; j < count; j++) {
    scores[j] = capped(scale * dot(q, query, k, first + j * step, headDim), softcap);
  }
  return scores;
}

/** softcap tanh(score / softcap); the score itself when softcap is 0. */
export function capped(score: number, softcap: number): number {
  return softcap === 0 ? score : softcap * Math.tanh(score / softcap);
}

/** Softmax over the scores and the sink, whose own weight is left out. Scores [0, 0], sink 0 -> [1/3, 1/3]. */
export function weigh(scores: Float64Array, sink: number | undefined): Float64Array {
  if (sink === undefined) return softmax(scores, scores.length);
  const all = new Float64Array(scores.length + 1);
  all.set(scores);
  all[scores.length] = sink;
  return softmax(all, all.length).subarray(0, scores.length);
}

function checkSizes(input: AttentionInput): void {
  const { batch, numQueries, numKeys, numHeads, numKvHeads, headDim } = input;
  if (numHeads % numKvHeads !== 0) {
    throw new ConfigError(
      `numHeads (${numHeads}) is not a multiple of numKvHeads (${numKvHeads}); groups must be equal.`,
    );
  }
  if (input.causal && numQueries > numKeys) {
    throw new ConfigError(
      `${numQueries} queries are more than ${numKeys} keys; queries are the last positions.`,
    );
  }
  const wanted = { q: batch * numQueries * numHeads * headDim, k: batch * numKeys * numKvHeads * headDim };
  if (input.q.length !== wanted.q || input.k.length !== wanted.k || input.v.length !== wanted.k) {
    throw new ConfigError(
      `Attention with these sizes takes ${wanted.q} elements of q and ${wanted.k} of k and v, ` +
        `but got ${input.q.length}, ${input.k.length} and ${input.v.length}.`,
    );
  }
}

export interface TpAttentionInput {
  /** [B, S, D] */
  readonly x: Float64Array;
  readonly batch: number;
  readonly modelDim: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly theta: number;
  /** [Hq Dh, D], [Hkv Dh, D], [Hkv Dh, D], [D, Hq Dh] */
  readonly wq: Float64Array;
  readonly wk: Float64Array;
  readonly wv: Float64Array;
  readonly wo: Float64Array;
}

/**
 * The attention block without norm and residual, unsharded: what every tensor-parallel split must add up to.
 * x -> q, k, v -> rope (halves, positions 0 .. S-1) -> causal attention -> wo -> [B, S, D].
 */
export function tpAttention(input: TpAttentionInput): Float64Array {
  const { x, batch, modelDim, numHeads, numKvHeads, headDim, theta } = input;
  const m = x.length / modelDim;
  const length = m / batch;
  const positions = Float64Array.from({ length: m }, (_, i) => i % length);
  const project = (weight: Float64Array, heads: number): Float64Array =>
    matmul(x, weight, { m, n: heads * headDim, k: modelDim });
  const turn = (rows: Float64Array, heads: number): Float64Array =>
    rope({ x: rows, numHeads: heads, headDim, positions, theta, style: 'halves' });
  const heads = attention({
    q: turn(project(input.wq, numHeads), numHeads),
    k: turn(project(input.wk, numKvHeads), numKvHeads),
    v: project(input.wv, numKvHeads),
    batch,
    numQueries: length,
    numKeys: length,
    numHeads,
    numKvHeads,
    headDim,
    causal: true,
  });
  return matmul(heads, input.wo, { m, n: modelDim, k: numHeads * headDim });
}

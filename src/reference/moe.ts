/** The mixture-of-experts layer. T tokens, D width, E experts, K chosen, F expert width. */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { invariant } from '../core/errors.ts';
import { at } from '../core/math.ts';
import type { Activation } from '../model/config.ts';
import { gated, SWIGLU_LIMIT, type SwigluOai } from './activation.ts';
import { absDot, dot, f64At } from './f64.ts';
import { type ProductError, rowSize } from './product-error.ts';
import { type GateInput, gateTopK, type Routing, scoresOf } from './gate.ts';

export interface ExpertWeights {
  readonly numExperts: number;
  readonly modelDim: number;
  readonly expertDim: number;
  readonly w1_EFD: Float64Array;
  /** Absent: a plain two-matrix expert, y = w2 act(w1 x). */
  readonly w3_EFD?: Float64Array;
  readonly w2_EDF: Float64Array;
  readonly b1_EF?: Float64Array;
  readonly b3_EF?: Float64Array;
  readonly b2_ED?: Float64Array;
  readonly activation: Activation;
  readonly swiglu?: SwigluOai;
}

export interface MoeInput extends ExpertWeights, GateInput {
  readonly x_TD: Float64Array;
}

/** Largest slope of any of the activations (gelu's, 1.129). */
const MAX_SLOPE = 1.13;

/** Experts and weights [T, K] in place of those that the router chose; -1 is no expert. */
export type Reroute = (
  chosen: Routing,
  /** Of all experts, before renormalisation. */
  scores_TE: Float64Array,
) => Pick<Routing, 'ids_TK' | 'scores_TK'>;

/** y = sum over k of score_k (w2 (act(w1 x + b1) (w3 x + b3)) + b2), and the routing that chose. */
export const moe = piecewise(function* (
  input: MoeInput,
  reroute?: Reroute,
): Pieces<Routing & { y_TD: Float64Array }> {
  const chosen = yield* gateTopK.pieces(input);
  const routing = reroute === undefined ? chosen : { ...chosen, ...reroute(chosen, scoresOf(input)) };
  return { ...routing, y_TD: yield* mix(input, routing, addExpert) };
});

/**
 * What the error of `moe` scales with, [T, D]: an implementation with exact routing and unit roundoff u is off by at
 * most about gamma(D + F + K + 16, u) times this (first order; 16 pays for scores, exponentials and biases).
 * @param weights_TK in place of the scores: what errors of the scores come to.
 */
export const moeMagnitude = piecewise(function* (
  input: MoeInput,
  weights_TK?: Float64Array,
): Pieces<Float64Array> {
  const routing = yield* gateTopK.pieces(input);
  return yield* mix(
    input,
    weights_TK === undefined ? routing : { ...routing, scores_TK: weights_TK },
    addExpertMagnitude,
  );
});

/**
 * By how much y may be off, [T, D], where both products of the experts are off by so much: the first ones move the hidden
 * values by the slope of the activation, and the second has those of its own.
 */
export const moeMoves = piecewise(function* (
  input: MoeInput,
  errors: { readonly up: ProductError; readonly down: ProductError },
): Pieces<Float64Array> {
  const routing = yield* gateTopK.pieces(input);
  return yield* mix(input, routing, (...of) => addExpertMoves(errors, ...of));
});

/** Adds what one expert gives the tokens that chose it. @param weights of this expert alone. */
export function* addRowsOf(
  expert: number,
  weights: ExpertWeights,
  { ids_TK, scores_TK }: Pick<Routing, 'ids_TK' | 'scores_TK'>,
  x_TD: Float64Array,
  y_TD: Float64Array,
): Pieces<void> {
  const { modelDim: width } = weights;
  const topK = (ids_TK.length * width) / x_TD.length;
  for (const [slot, id] of ids_TK.entries()) {
    if (id !== expert) continue;
    const start = Math.floor(slot / topK) * width;
    addExpert(weights, 0, x_TD, start, f64At(scores_TK, slot), y_TD.subarray(start, start + width));
    yield;
  }
}

type AddExpert = (
  w: ExpertWeights,
  e: number,
  x: Float64Array,
  xAt: number,
  s: number,
  y: Float64Array,
) => void;

function* mix(input: MoeInput, routing: Routing, addTo: AddExpert): Pieces<Float64Array> {
  const { x_TD, modelDim, topK, numExperts } = input;
  const matrix = numExperts * modelDim * input.expertDim;
  for (const which of ['w1_EFD', 'w2_EDF', 'w3_EFD'] as const) {
    const size = input[which]?.length ?? matrix;
    invariant(size === matrix, () => `moe: ${which} has ${size} elements, not ${matrix}`);
  }
  const numTokens = routing.gap_T.length;
  invariant(
    x_TD.length === numTokens * modelDim,
    () => `moe: x has ${x_TD.length} elements for ${numTokens} tokens`,
  );
  const y_TD = new Float64Array(x_TD.length);
  for (let t = 0; t < numTokens; t++) {
    const row = y_TD.subarray(t * modelDim, (t + 1) * modelDim);
    for (let k = 0; k < topK; k++) {
      const slot = t * topK + k;
      const expert = at(routing.ids_TK, slot);
      if (expert < 0) continue;
      addTo(input, expert, x_TD, t * modelDim, f64At(routing.scores_TK, slot), row);
      yield;
    }
  }
  return y_TD;
}

/** The element of an optional bias. */
function bias(values: Float64Array | undefined, index: number): number {
  return values === undefined ? 0 : f64At(values, index);
}

const addExpert: AddExpert = (w, e, x, xAt, score, y) => {
  const { modelDim: width, expertDim, w1_EFD, w3_EFD, w2_EDF } = w;
  const hidden = new Float64Array(expertDim);
  for (let f = 0; f < expertDim; f++) {
    const row = (e * expertDim + f) * width;
    const gate = dot(w1_EFD, row, x, xAt, width) + bias(w.b1_EF, e * expertDim + f);
    const up = w3_EFD && dot(w3_EFD, row, x, xAt, width) + bias(w.b3_EF, e * expertDim + f);
    hidden[f] = gated(w.activation, gate, up, w.swiglu);
  }
  for (let d = 0; d < width; d++) {
    const value = dot(w2_EDF, (e * width + d) * expertDim, hidden, 0, expertDim);
    y[d] = f64At(y, d) + score * (value + bias(w.b2_ED, e * width + d));
  }
};

/** Whether no rounding of a sum of terms of that size brings the value back to the limit it is clamped to. */
function isBeyond(value: number, size: number, limit: number): boolean {
  return limit < Infinity && (value === Infinity || value - size / 64 > limit);
}

/** Per hidden value |h| + slope |up| sum|w1||x| + |gate| sum|w3||x|; then through |w2|. What is clamped moves nothing. */
const addExpertMagnitude: AddExpert = (w, e, x, xAt, score, y) => {
  const { modelDim: width, expertDim, w1_EFD, w3_EFD, w2_EDF } = w;
  const clamped = w.activation === 'swiglu_oai';
  const beta = clamped ? Math.abs(w.swiglu?.beta ?? 1) : 0;
  const limit = clamped ? (w.swiglu?.limit ?? SWIGLU_LIMIT) : Infinity;
  const hidden = new Float64Array(expertDim);
  for (let f = 0; f < expertDim; f++) {
    const row = (e * expertDim + f) * width;
    const b1 = bias(w.b1_EF, e * expertDim + f);
    const gate = dot(w1_EFD, row, x, xAt, width) + b1;
    const gateSize = absDot(w1_EFD, row, x, xAt, width) + Math.abs(b1);
    if (w3_EFD === undefined) {
      hidden[f] = Math.abs(gated(w.activation, gate, undefined, w.swiglu)) + MAX_SLOPE * gateSize;
      continue;
    }
    const b3 = bias(w.b3_EF, e * expertDim + f);
    const up = dot(w3_EFD, row, x, xAt, width) + b3;
    const upSize = absDot(w3_EFD, row, x, xAt, width) + Math.abs(b3);
    const gateMoves = isBeyond(gate, gateSize, limit) ? 0 : gateSize;
    const upMoves = isBeyond(Math.abs(up), upSize, limit) ? 0 : upSize;
    // None of the activations is larger than its argument: |act(gate)| <= |gate|.
    hidden[f] =
      Math.abs(gated(w.activation, gate, up, w.swiglu)) +
      MAX_SLOPE * (Math.min(Math.abs(up), limit) + beta) * gateMoves +
      Math.abs(Math.min(gate, limit)) * upMoves;
  }
  for (let d = 0; d < width; d++) {
    const value = absDot(w2_EDF, (e * width + d) * expertDim, hidden, 0, expertDim);
    y[d] = f64At(y, d) + score * (value + Math.abs(bias(w.b2_ED, e * width + d)));
  }
};

/** Per hidden value slope |up| e1 + |gate| e3, of the errors of its products; then through |w2|, and the error of that product. */
function addExpertMoves(
  errors: { readonly up: ProductError; readonly down: ProductError },
  ...[w, e, x, xAt, score, y]: Parameters<AddExpert>
): void {
  const { modelDim: width, expertDim, w1_EFD, w3_EFD, w2_EDF } = w;
  const clamped = w.activation === 'swiglu_oai';
  const beta = clamped ? Math.abs(w.swiglu?.beta ?? 1) : 0;
  const limit = clamped ? (w.swiglu?.limit ?? SWIGLU_LIMIT) : Infinity;
  const a = rowSize(x, xAt, width);
  const hidden = new Float64Array(expertDim);
  const moves = new Float64Array(expertDim);
  for (let f = 0; f < expertDim; f++) {
    const row = (e * expertDim + f) * width;
    const errorOf = (weights: Float64Array): number =>
      errors.up({
        terms: absDot(weights, row, x, xAt, width),
        depth: width,
        a,
        b: rowSize(weights, row, width),
      });
    const gate = dot(w1_EFD, row, x, xAt, width) + bias(w.b1_EF, e * expertDim + f);
    const up = w3_EFD && dot(w3_EFD, row, x, xAt, width) + bias(w.b3_EF, e * expertDim + f);
    const ofGate = errorOf(w1_EFD);
    const value = Math.abs(gated(w.activation, gate, up, w.swiglu));
    if (w3_EFD === undefined || up === undefined) {
      moves[f] = MAX_SLOPE * ofGate;
    } else {
      const ofUp = errorOf(w3_EFD);
      const largestUp = Math.min(Math.abs(up) + ofUp, limit) + beta;
      // Nothing that is not off moves anything, however large the other is.
      const byGate = ofGate === 0 ? 0 : MAX_SLOPE * largestUp * ofGate;
      moves[f] = byGate + (ofUp === 0 ? 0 : Math.min(Math.abs(gate), limit) * ofUp);
    }
    hidden[f] = value + f64At(moves, f);
  }
  const ofHidden = rowSize(hidden, 0, expertDim);
  for (let d = 0; d < width; d++) {
    const row = (e * width + d) * expertDim;
    const terms = absDot(w2_EDF, row, hidden, 0, expertDim);
    const own = errors.down({ terms, depth: expertDim, a: ofHidden, b: rowSize(w2_EDF, row, expertDim) });
    const moved = absDot(w2_EDF, row, moves, 0, expertDim);
    y[d] = f64At(y, d) + Math.abs(score) * (moved + own);
  }
}

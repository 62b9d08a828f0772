/**
 * Shapes of what a rank holds of a layer, by what is cut: heads, experts, widths. The engine allocates by them, and the
 * planner counts by them what a rank of a cluster would hold. D model width, F expert width, Dh size of a head.
 */
import { product } from '../core/math.ts';

export type Shape = readonly number[];

/** Of `heads` query heads and `kvHeads` heads of keys and values. */
export function attentionShapes(
  modelDim: number,
  headDim: number,
  heads: number,
  kvHeads: number,
): { readonly qkv: Shape; readonly out: Shape } {
  return { qkv: [(heads + 2 * kvHeads) * headDim, modelDim], out: [modelDim, heads * headDim] };
}

/** Of one routed expert, or of a part of it that is `expertDim` wide. */
export function expertShapes(
  modelDim: number,
  expertDim: number,
): { readonly w1: Shape; readonly w3: Shape; readonly w2: Shape } {
  return { w1: [expertDim, modelDim], w3: [expertDim, modelDim], w2: [modelDim, expertDim] };
}

/** Of a plain unit, shared experts or a dense layer; `extra` rows for logits of its own. */
export function unitShapes(
  modelDim: number,
  dim: number,
  extra = 0,
): { readonly unitUp: Shape; readonly unitDown: Shape } {
  return { unitUp: [2 * dim + extra, modelDim], unitDown: [modelDim, dim] };
}

/** Of the router, whole on every rank. */
export const gateShape = (modelDim: number, experts: number): Shape => [experts, modelDim];

/** Of the embedding, or of a part of the head. */
export const vocabularyShape = (modelDim: number, rows: number): Shape => [rows, modelDim];

/** KV heads of each rank of a TP group: where there are fewer than ranks, they are copied. */
export const kvHeadsOfRank = (kvHeads: number, tp: number): number => Math.max(1, kvHeads / tp);

/** Keys, or values, that one position adds to the cache of one layer of a rank. */
export const cachedElements = (headDim: number, kvHeads: number): number => kvHeads * headDim;

/** Elements of all of them. */
export function elementsOf(shapes: Readonly<Record<string, Shape>>): number {
  let total = 0;
  for (const shape of Object.values(shapes)) total += product(shape);
  return total;
}

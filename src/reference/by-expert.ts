/** A layer in float64 of which one expert is in memory at a time, so that layers of any size are computed. */
import { inPieces } from '../core/async/pieces.ts';
import { isDense, type WeightSource } from '../model/config.ts';
import { expertParts, layerParts, nameOf } from '../model/weights/parts.ts';
import type { ReferenceCache } from './cache.ts';
import { gateTopK } from './gate.ts';
import { beforeExperts, gateOf, type LayerResult, partsOf, readExperts } from './layer.ts';
import { addRowsOf } from './moe.ts';

/**
 * As `forwardLayer`, but that experts are added in their order, each after it was loaded.
 * @throws CancelledError once the signal is aborted.
 */
export async function forwardByExpert(
  weights: WeightSource,
  layer: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
  signal?: AbortSignal,
): Promise<LayerResult> {
  const { config } = weights;
  const dense = isDense(config, layer);
  await weights.load?.(layerParts(config, dense).map((part) => nameOf(part, layer)));
  const of = partsOf(weights, layer);
  const { joined_TD, normed_TD } = await inPieces(
    beforeExperts.pieces(config, of, layer, x_TD, cache),
    signal,
  );
  if (dense) return { x_TD: joined_TD, routing: undefined };
  const gate = await inPieces(gateOf.pieces(config, of, normed_TD), signal);
  const routing = gateTopK(gate);
  for (const expert of [...new Set(routing.ids_TK)].sort((a, b) => a - b)) {
    await weights.load?.(expertParts(config).map((part) => nameOf(part, layer, expert)));
    const own = readExperts(weights, layer, [expert]);
    await inPieces(addRowsOf(expert, own, routing, normed_TD, joined_TD), signal);
  }
  return { x_TD: joined_TD, routing };
}

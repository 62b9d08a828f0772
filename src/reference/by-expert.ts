/** A layer in float64 of which one expert is in memory at a time, so that layers of any size are computed. */
import { isDense, type WeightSource } from '../model/config.ts';
import { expertParts, layerParts, nameOf } from '../model/weights/parts.ts';
import type { ReferenceCache } from './cache.ts';
import { gateTopK } from './gate.ts';
import { beforeExperts, gateOf, type LayerResult, partsOf, readExperts } from './layer.ts';
import { addRowsOf } from './moe.ts';

/** As `forwardLayer`, but that experts are added in their order, each after it was loaded. */
export async function forwardByExpert(
  weights: WeightSource,
  layer: number,
  x_TD: Float64Array,
  cache: ReferenceCache,
): Promise<LayerResult> {
  const { config } = weights;
  const dense = isDense(config, layer);
  await weights.load?.(layerParts(config, dense).map((part) => nameOf(part, layer)));
  const of = partsOf(weights, layer);
  const { joined_TD, normed_TD } = beforeExperts(config, of, layer, x_TD, cache);
  if (dense) return { x_TD: joined_TD, routing: undefined };
  const routing = gateTopK(gateOf(config, of, normed_TD));
  for (const expert of [...new Set(routing.ids_TK)].sort((a, b) => a - b)) {
    await weights.load?.(expertParts(config).map((part) => nameOf(part, layer, expert)));
    addRowsOf(expert, readExperts(weights, layer, [expert]), routing, normed_TD, joined_TD);
  }
  return { x_TD: joined_TD, routing };
}

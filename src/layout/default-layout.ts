/** A layout for a model that nobody has chosen one for. */
import { divisorsOf } from '../core/math.ts';
import type { MoeConfig } from '../model/config.ts';
import type { LayoutSpec } from './spec.ts';

/** Ranks of one node, as most are built. A guess. */
const MOST_RANKS = 8;

/** As many expert-parallel ranks as divide the experts, up to 8: 8 or 64 experts -> ep=8, 6 experts -> ep=6. */
export function layoutFor({ numExperts }: MoeConfig): LayoutSpec {
  const ep = divisorsOf(numExperts)
    .filter((n) => n <= MOST_RANKS)
    .at(-1);
  return { ep: ep ?? 1, pp: 1, tp: 1, dp: 1 };
}

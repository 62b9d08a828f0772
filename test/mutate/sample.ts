/** Some of the faults, by chance, and what they tell of all. */
import { at } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';

/**
 * `count` of `all`, of every kind its share, rounded up or down, in an order that mixes them: the first of them are a sample
 * too. The same seed draws the same.
 */
export function sampleOf<T>(all: readonly T[], kindOf: (one: T) => string, count: number, seed: number): T[] {
  const random = seededRandom(seed);
  const drawn = all.map((one) => ({ one, kind: kindOf(one), key: random.uniform() }));
  drawn.sort((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : a.key - b.key));
  const most = Math.min(count, all.length);
  const step = all.length / Math.max(1, most);
  const start = random.uniform() * step;
  const places = Array.from({ length: most }, (_, i) =>
    Math.min(all.length - 1, Math.floor(start + i * step)),
  );
  return places
    .map((place) => at(drawn, place))
    .sort((a, b) => a.key - b.key)
    .map(({ one }) => one);
}

/** Standard deviations to either side that hold 95 % of a normal distribution. */
const Z = 1.959964;

/** Wilson's interval of a share that was found in `n` of many: 95 % of such intervals have the true one. */
export function shareInterval(share: number, n: number): [low: number, high: number] {
  const z2 = (Z * Z) / n;
  const middle = share + z2 / 2;
  const half = Z * Math.sqrt((share * (1 - share) + z2 / 4) / n);
  return [(middle - half) / (1 + z2), (middle + half) / (1 + z2)];
}

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { at, maxOf, range, sum } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { eplb, eplbGlobal } from '../../src/routing/balance/eplb.ts';
import { planMigration } from '../../src/routing/balance/migration.ts';
import { optimalPlacement } from '../../src/routing/balance/optimum.ts';
import { evenLoad, evenLoadOfRanks, evenLoads, placeExperts } from '../../src/routing/balance/placer.ts';
import { weightedSplit } from '../../src/routing/balance/split.ts';
import { gini, maxOverMean, noiseFloor, paddingWaste } from '../../src/routing/load.ts';
import { contiguousPlacement, placementOf } from '../../src/routing/placement.ts';
import { dealTable } from '../../src/routing/replicas.ts';

const FULL = Number(process.env['MOEBIUS_RUNS'] ?? 0) > 0;

interface Vector {
  readonly name: string;
  readonly weight: number[][];
  readonly num_replicas: number;
  readonly num_groups: number;
  readonly num_nodes: number;
  readonly num_gpus: number;
  readonly phy2log: number[][];
  readonly logcnt: number[][];
  readonly max_over_mean: number[];
  readonly equal_weights_present: boolean;
  readonly weighted_split_max_over_mean: number;
}
const vectors = JSON.parse(readFileSync(new URL('eplb-vectors.json', import.meta.url), 'utf8')) as Vector[];
const zipf = (n: number, s: number): number[] => range(n).map((e) => (e + 1) ** -s);

describe('EPLB gives what DeepSeek gives', () => {
  test.each(vectors.map((v) => [v.name, v] as const))('%s', (_, v) => {
    const sizes = { slots: v.num_replicas, groups: v.num_groups, nodes: v.num_nodes, gpus: v.num_gpus };
    v.weight.forEach((load, layer) => {
      const gpus = eplb(load, sizes);
      if (!v.equal_weights_present) expect(gpus.flat()).toEqual(v.phy2log[layer]);
      const theirs = range(v.num_gpus).map((g) => {
        const own = v.num_replicas / v.num_gpus;
        return at(v.phy2log, layer).slice(g * own, (g + 1) * own);
      });
      const sorted = (loads: number[]): number[] => loads.sort((a, b) => a - b);
      const [ours, want] = [sorted(evenLoads(load, gpus)), sorted(evenLoads(load, theirs))];
      ours.forEach((value, g) => expect(Math.abs(value - at(want, g))).toBeLessThanOrEqual(1e-9 * value));
      expect(maxOverMean(ours)).toBeCloseTo(at(v.max_over_mean, layer), 6);
    });
    const split = weightedSplit(
      at(v.weight, 0),
      placementOf(eplb(at(v.weight, 0), sizes), at(v.weight, 0).length),
    );
    expect(split.maxOverMean).toBeCloseTo(v.weighted_split_max_over_mean, 4);
    expect(maxOverMean(split.loadOfRanks)).toBeCloseTo(split.maxOverMean, 9);
  });

  test('groups that cannot be dealt to the nodes are placed globally', () => {
    const load = zipf(12, 1);
    expect(eplb(load, { slots: 16, groups: 3, nodes: 2, gpus: 4 })).toEqual(eplbGlobal(load, 16, 4));
  });

  test.each([
    [{ slots: 8, groups: 1, nodes: 1, gpus: 4 }, /as many slots as experts/],
    [{ slots: 18, groups: 1, nodes: 1, gpus: 4 }, /multiple of GPUs/],
    [{ slots: 16, groups: 1, nodes: 3, gpus: 4 }, /multiple of nodes/],
    [{ slots: 16, groups: 5, nodes: 1, gpus: 4 }, /multiple of groups/],
    [{ slots: 16, groups: 0, nodes: 1, gpus: 4 }, /whole numbers/],
  ])('%o is refused', (sizes, message) => {
    expect(() => eplb(zipf(12, 1), sizes)).toThrow(ConfigError);
    expect(() => eplb(zipf(12, 1), sizes)).toThrow(message);
  });
});

describe('our placer', () => {
  const load = zipf(16, 1.2);

  test('16 experts, 32 slots, 16 GPUs, Zipf 1.2: within 1.03, with weighted split within 1.02', () => {
    const even = placeExperts(load, { slots: 32, gpus: 16 });
    expect(even.maxOverMean).toBeLessThanOrEqual(1.03);
    expect(maxOverMean(evenLoadOfRanks(load, even.placement))).toBeCloseTo(even.maxOverMean, 12);
    const weighted = placeExperts(load, { slots: 32, gpus: 16, split: 'weighted' });
    expect(weighted.maxOverMean).toBeLessThanOrEqual(1.02);
    expect(weightedSplit(load, weighted.placement).maxOverMean).toBe(weighted.maxOverMean);
    expect(placeExperts(load, { slots: 32, gpus: 16 })).toEqual(even);
  });

  test('256 experts on 288 slots of 32 GPUs', () => {
    const many = zipf(256, 1.2);
    const start = performance.now();
    expect(placeExperts(many, { slots: 288, gpus: 32 }).maxOverMean).toBeLessThan(1.01);
    // 1 s is what a quiet core needs at most.
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  // A thousand take minutes on a busy machine.
  test('is never worse than EPLB', { timeout: FULL ? 1_800_000 : 60_000 }, () => {
    const random = seededRandom(7);
    for (const i of range(FULL ? 1000 : 30)) {
      const gpus = 1 + random.integer(8);
      const perGpu = 1 + random.integer(4);
      const experts = 1 + random.integer(gpus * perGpu);
      const skew = 3 * random.uniform();
      const loads = range(experts).map(() => random.uniform() ** skew);
      const theirs = evenLoad(loads, eplbGlobal(loads, gpus * perGpu, gpus));
      const mean = sum(loads) / gpus;
      const ours = placeExperts(loads, { slots: gpus * perGpu, gpus, seed: i });
      expect(ours.maxOverMean).toBeLessThanOrEqual((theirs / mean) * (1 + 1e-12));
      expect(maxOf(evenLoadOfRanks(loads, ours.placement))).toBeCloseTo(ours.maxOverMean * mean, 9);
    }
  });

  test('slots that do not divide are dealt as evenly as they can be', () => {
    const { placement } = placeExperts(zipf(5, 1), { slots: 8, gpus: 3 });
    expect(placement.firstSlot).toEqual([0, 3, 6, 8]);
  });

  test.each([
    [[1, 1, 1], { slots: 2, gpus: 1 }, /a slot for every expert/],
    [[1, NaN, 1], { slots: 4, gpus: 2 }, /the load of expert 1 is NaN/],
    [[1, -1, 1], { slots: 4, gpus: 2 }, /the load of expert 1 is -1/],
    [[0, 0], { slots: 4, gpus: 2 }, /all loads are 0/],
  ])('%o is refused', (loads, sizes, message) => {
    expect(() => placeExperts(loads, sizes)).toThrow(message);
  });
});

describe('the exact optimum', () => {
  /** All numbers of copies, all pairings. */
  function bruteForce(load: readonly number[], gpus: number): number {
    let best = Infinity;
    const pairings = (items: readonly number[], most: number): void => {
      const [first = 0, ...rest] = items;
      if (items.length === 0) best = Math.min(best, most);
      rest.forEach((other, i) =>
        pairings(
          rest.filter((_, j) => j !== i),
          Math.max(most, first + other),
        ),
      );
    };
    const copiesFrom = (e: number, left: number, items: readonly number[]): void => {
      if (e === load.length) return left === 0 ? pairings(items, 0) : undefined;
      for (let n = 1; n <= left - (load.length - 1 - e); n++)
        copiesFrom(e + 1, left - n, [...items, ...Array<number>(n).fill(at(load, e) / n)]);
    };
    copiesFrom(0, 2 * gpus, []);
    return best;
  }

  test('is that of trying everything', () => {
    const random = seededRandom(3);
    for (const gpus of [1, 2, 3, 4]) {
      for (let i = 0; i < (gpus === 4 ? 3 : 8); i++) {
        const load = range(1 + random.integer(2 * gpus)).map(() => random.uniform() ** 2);
        const found = optimalPlacement(load, gpus);
        expect(found.proved).toBe(true);
        expect((found.maxOverMean * sum(load)) / gpus).toBeCloseTo(bruteForce(load, gpus), 12);
        expect(maxOf(evenLoadOfRanks(load, found.placement))).toBeCloseTo(bruteForce(load, gpus), 12);
      }
    }
  });

  test('at 16 experts it is proved in a second or so', () => {
    const found = optimalPlacement(zipf(16, 1.2), 16);
    expect(found.proved).toBe(true);
    expect(found.maxOverMean).toBeCloseTo(1.02688, 5);
    expect(optimalPlacement(zipf(16, 0.2), 16, { mostNodes: 10 }).proved).toBe(false);
  });
});

test('weighted split: shares are dealt as they say, and an expert without load has any', () => {
  const placement = placementOf(
    [
      [0, 1],
      [0, 2],
    ],
    3,
  );
  const split = weightedSplit([6, 4, 0], placement);
  expect(split.maxOverMean).toBe(1);
  expect(split.loadOfRanks).toEqual([5, 5]);
  expect(at(split.shares, 0)).toEqual([1, 5]);
  const deal = dealTable(placement, [[1, 3], [1], [1]], 4);
  expect([...deal.slot_ET.subarray(0, 4)]).toEqual([2, 0, 2, 2]);
  expect(() => dealTable(placement, [[0, 0], [1], [1]])).toThrow(/expert 0 has the shares \[0, 0\]/);
});

test('migration: only when the gain over the horizon exceeds the bytes moved', () => {
  const from = contiguousPlacement(4, 2);
  // The same sets on the other ranks: nothing moves.
  const costs = { expertBytes: 1e6, bytesPerSecond: 1e6, secondsPerRow: 1e-3, horizonSteps: 100 };
  const swapped = planMigration(
    from,
    placementOf(
      [
        [3, 2],
        [1, 0],
      ],
      4,
    ),
    { before: 10, after: 9 },
    costs,
  );
  expect([swapped.movedBytes, swapped.worthwhile]).toEqual([0, true]);
  const other = placementOf(
    [
      [0, 2],
      [1, 3],
    ],
    4,
  );
  const little = planMigration(from, other, { before: 10, after: 1 }, costs);
  expect(little.movedSlots).toEqual([1, 1]);
  expect([little.movedBytes, little.costSeconds, little.worthwhile]).toEqual([2e6, 1, false]);
  expect(little.gainSeconds).toBeCloseTo(0.9, 12);
  expect(planMigration(from, other, { before: 12, after: 1 }, costs).worthwhile).toBe(true);
});

test('numbers about load, worked out by hand', () => {
  expect(maxOverMean([1, 2, 3])).toBe(1.5);
  expect(gini([0, 0, 6])).toBeCloseTo(2 / 3, 12);
  expect(gini([2, 2, 2])).toBeCloseTo(0, 12);
  expect(gini([1, 3])).toBeCloseTo(0.25, 12);
  expect(paddingWaste([5, 0, 8], 8)).toBe(3 / 16);
  expect([maxOverMean([0, 0]), gini([0]), paddingWaste([0], 8)]).toEqual([1, 0, 0]);
});

test('the noise floor: uniform top-8 of 256 for 4,096 tokens on 32 ranks shows 0.066', () => {
  const floor = noiseFloor({ numTokens: 4096, topK: 8, numExperts: 256 }, contiguousPlacement(256, 32));
  expect(Math.abs(floor.mean - 0.066)).toBeLessThan(0.005);
  expect(floor.p95).toBeGreaterThan(floor.mean);
  expect(noiseFloor({ numTokens: 0, topK: 1, numExperts: 4 })).toEqual({ mean: 0, p95: 0, rounds: 0 });
});

/** Rounds, bursts and the canary, with a clock and a machine of our own. */
import { describe, expect, test } from 'vitest';
import { burstOf, samplesOfBurst } from '../../src/measure/burst.ts';
import { canaryReport, driftAt, driftOf, isDrift } from '../../src/measure/canary.ts';
import { runRounds, type Entrant } from '../../src/measure/rounds.ts';
import { summarise } from '../../src/measure/statistics.ts';
import { at, range } from '../../src/core/math.ts';
import { seededRandom, shuffled } from '../../src/core/random.ts';

/** A machine whose speed depends on the time, and rows that take a millisecond on it at speed 1. */
function machine(slowness: (time: number) => number) {
  let time = 0;
  const order: number[] = [];
  const work = (ns: number): number => {
    const taken = ns * slowness(time);
    time += taken;
    return taken;
  };
  const row = (i: number, ns: number): Entrant => ({
    burst: () => {
      order.push(i);
      return Promise.resolve([work(ns)]);
    },
  });
  const canary = (): Promise<number> => Promise.resolve(work(1e5));
  return { now: () => time, row, canary, order };
}

const options = { seed: 1, least: 6, most: 8, endNs: Infinity, lastNs: Infinity };

describe('rounds', () => {
  test('every row has one burst in each, in orders that differ and come back with the seed', async () => {
    const run = async (seed: number): Promise<number[]> => {
      const { row, now, order } = machine(() => 1);
      const entrants = range(5).map((i) => row(i, 1e6));
      const { bursts, count } = await runRounds(entrants, { ...options, seed, now });
      expect(count).toBe(8);
      expect(bursts.map((own) => own.map(({ round }) => round))).toEqual(range(5).map(() => range(8)));
      return order;
    };
    const order = await run(1);
    const rounds = range(8).map((r) => order.slice(5 * r, 5 * r + 5));
    for (const round of rounds) expect([...round].sort()).toEqual(range(5));
    expect(new Set(rounds.map((round) => round.join())).size).toBeGreaterThan(4);
    expect(await run(1)).toEqual(order);
    expect(await run(2)).not.toEqual(order);
  });

  test('a machine that slows down by half within the run does not part rows that are alike', async () => {
    const { row, now } = machine((time) => 1 + time / 160e6);
    const entrants = range(20).map((i) => row(i, 1e6));
    const { bursts } = await runRounds(entrants, { ...options, now });
    const medians = bursts.map((own) => summarise(own.map(({ ns }) => ns)).median);
    const usual = summarise(medians).median;
    for (const median of medians) expect(Math.abs(median / usual - 1)).toBeLessThan(0.1);
  });

  test('one bad moment does not move a median', async () => {
    const { row, now } = machine((time) => (time > 3e6 && time < 20e6 ? 5 : 1));
    const { bursts } = await runRounds(
      range(4).map((i) => row(i, 1e6)),
      { ...options, now },
    );
    for (const own of bursts) expect(summarise(own.map(({ ns }) => ns)).median).toBe(1e6);
  });

  test('no round begins that would end too late, but the least are made', async () => {
    const { row, now } = machine(() => 1);
    const run = async (endNs: number): Promise<number> =>
      (await runRounds([row(0, 1e6)], { ...options, now, least: 2, endNs: now() + endNs })).count;
    expect(await run(4.5e6)).toBe(4);
    expect(await run(0)).toBe(2);
  });

  test('no burst begins after the last moment', async () => {
    const { row, now } = machine(() => 1);
    const { count, bursts } = await runRounds([row(0, 1e6), row(1, 1e6)], { ...options, now, lastNs: 2.5e6 });
    expect(count).toBe(1);
    expect(bursts.map((own) => own.length).sort()).toEqual([1, 2]);
  });

  test('a void burst is left out, and one that throws is the last of its row', async () => {
    const { row, now } = machine(() => 1);
    let turn = 0;
    const entrants: Entrant[] = [
      row(0, 1e6),
      { burst: () => Promise.resolve(turn++ === 0 ? [] : [5]) },
      { burst: () => Promise.reject(new Error('lost')) },
    ];
    const { bursts, failures, count } = await runRounds(entrants, { ...options, now });
    expect(bursts.map((own) => own.length)).toEqual([8, 7, 0]);
    expect(failures).toEqual([undefined, undefined, 'lost']);
    expect(count).toBe(8);
  });

  test('shuffled keeps all values', () => {
    expect(shuffled(range(50), seededRandom(3)).sort((a, b) => a - b)).toEqual(range(50));
  });
});

describe('a burst', () => {
  const watched = (windows: readonly (number | undefined)[]) => {
    const asked: number[] = [];
    let destroyed = 0;
    const open = () =>
      Promise.resolve({
        window: (repeats: number) => Promise.resolve(windows[asked.push(repeats) - 1]),
        destroy: () => void destroyed++,
      });
    return { open, asked, destroyed: () => destroyed };
  };

  test('leaves out its first window, and divides by the runs', async () => {
    const { open, asked, destroyed } = watched([9e6, 4e6, 6e6, 8e6, 1]);
    expect(await burstOf(open, { repeats: 4, windowNs: 5e6 }).burst()).toEqual([1e6, 1.5e6, 2e6]);
    expect(asked).toEqual([4, 4, 4, 4]);
    expect(destroyed()).toBe(1);
    expect(await burstOf(watched([9e7, 3e7]).open, { repeats: 1, windowNs: 3e7 }).burst()).toEqual([3e7]);
  });

  test('without a valid reading has no value', async () => {
    const { open } = watched([1, undefined, undefined, undefined]);
    expect(await burstOf(open, { repeats: 1, windowNs: 1 }).burst()).toEqual([]);
  });

  test('has fewer samples where each is long', () => {
    expect([0, 4e6, 10e6, 20e6, 1e9].map(samplesOfBurst)).toEqual([3, 3, 2, 1, 1]);
  });
});

describe('the canary', () => {
  test('compares a burst with the readings around it', () => {
    const steady = range(12).map(() => 100);
    expect(driftAt(steady, 5)).toBe(0);
    expect(driftAt(steady.with(6, 130), 5)).toBeCloseTo(0.3);
    expect(driftAt(steady.with(5, 60), 5)).toBeCloseTo(-0.4);
    // Further away it says nothing of this burst.
    expect(driftAt(steady.with(8, 130), 5)).toBe(0);
    expect(driftAt(steady.with(6, 130), 11)).toBe(0);
  });

  test('is not misled by one lucky moment, nor by a slow change', () => {
    const lucky = [50, ...range(30).map(() => 100)];
    expect(range(26).map((i) => isDrift(driftAt(lucky, i + 4)))).not.toContain(true);
    const slow = range(100).map((i) => 100 + i);
    expect(range(99).map((i) => isDrift(driftAt(slow, i)))).not.toContain(true);
  });

  test('void readings are no readings, and two of them are a drift', () => {
    const readings = [100, 100, undefined, 100, 130, 100];
    expect(driftAt(readings, 2)).toBe(0);
    expect(driftAt(readings, 3)).toBeCloseTo(0.3);
    expect(driftAt([undefined, undefined, 1], 0)).toBeNaN();
    expect([isDrift(NaN), isDrift(0.16), isDrift(-0.16), isDrift(0.15)]).toEqual([true, true, true, false]);
  });

  test('marks a row only where half of its bursts are beside a drift', () => {
    const readings = range(40).map((i) => (i === 10 || i === 20 ? 150 : 100));
    const bursts = (...places: number[]) => places.map((reading, round) => ({ round, ns: 1, reading }));
    expect(driftOf(readings, bursts(2, 15, 25, 30))).toBeUndefined();
    expect(driftOf(readings, bursts(2, 10, 25))).toMatchObject({ bursts: 1, marked: false });
    expect(driftOf(readings, bursts(2, 10, 20))).toEqual({ bursts: 2, worst: 0.5, marked: true });
  });

  test('says how far its readings spread', () => {
    expect(canaryReport([100, 100, 100, 100]).spread).toBe(0);
    expect(canaryReport([100, 80, 120, 110, 90, undefined]).spread).toBeCloseTo(0.2);
    expect(canaryReport([undefined])).toMatchObject({ spread: null, samplesNs: [null] });
  });

  test('is read before the first burst and after each', async () => {
    const { row, now, canary } = machine(() => 1);
    const { bursts, readings } = await runRounds([row(0, 1), row(1, 1)], { ...options, now, canary });
    expect(readings).toHaveLength(1 + 16);
    expect(bursts.flatMap((own) => own.map(({ reading }) => reading)).sort((a, b) => a - b)).toEqual(
      range(16),
    );
    expect(at(readings, 0)).toBe(1e5);
  });
});

import { expect, test } from 'vitest';
import type { Contestant } from '../../../bench/peers/contestants/contestant.ts';
import { playRow, type MatchResult } from '../../../bench/peers/match.ts';
import type { Entrant, Host, PeerRow } from '../../../bench/peers/row.ts';
import { rowLines, summaryLines } from '../../../bench/peers/table.ts';
import { seededRandom, shuffled } from '../../../src/core/random.ts';
import { ownFaults, ratioOf, verdictsOf } from '../../../bench/peers/verdict.ts';

/** A clock that only work moves, so that times are what they are said to be. */
class World {
  ns = 0;
  readonly log: string[] = [];

  entrant(name: string, runNs: number, value = 1, ours = false): Entrant {
    const contestant: Contestant = {
      notes: [],
      run: () => {
        this.ns += runNs;
        this.log.push(name);
      },
      finish: () => {
        this.ns += 10;
        return Promise.resolve();
      },
      outputs: () => Promise.resolve(new Map([['y', Float64Array.of(value)]])),
      destroy: () => void this.log.push(`end of ${name}`),
    };
    return { name, ours, tolerance: 1e-3, enter: () => Promise.resolve(contestant) };
  }

  play(entrants: readonly Entrant[], goals: PeerRow['goals'] = []): Promise<MatchResult> {
    const truths = () => [
      ...[
        {
          output: 'y',
          length: 1,
          width: 1,
          rows: [0],
          values: Float64Array.of(1),
          budget: { atol: 0, rtol: 0 },
        },
      ],
    ];
    const row: PeerRow = {
      group: 'any',
      name: 'row',
      goals,
      flops: 1e6,
      setup: () => ({ entrants, truths }),
    };
    const options = { budgetNs: 0, minRounds: 3, maxRounds: 9, windowNs: 1000, say: () => undefined };
    return playRow(row, {} as Host, { ...options, now: () => this.ns });
  }
}

test('everyone has a turn in each round, after two runs that are not timed', async () => {
  const world = new World();
  await world.play(['a', 'b', 'c'].map((name) => world.entrant(name, 2000)));
  const { log } = world;
  expect(log.slice(0, 6).join(' ')).toBe('a a b b c c');
  for (const round of [0, 1, 2])
    expect(log.slice(6 + 3 * round, 9 + 3 * round).sort()).toEqual(['a', 'b', 'c']);
  expect(log.slice(15)).toEqual(['end of a', 'end of b', 'end of c']);
});

test('rounds have different orders, each contestant comes first about equally often', () => {
  const random = seededRandom(1);
  const first = Array.from({ length: 300 }, () => shuffled(['a', 'b', 'c'], random)[0]);
  for (const name of ['a', 'b', 'c']) {
    expect(Math.abs(first.filter((one) => one === name).length - 100)).toBeLessThan(30);
  }
});

test('a window is long enough, and its time is shared among its runs', async () => {
  const world = new World();
  const { standings } = await world.play([world.entrant('a', 190)]);
  expect(standings[0]).toMatchObject({ repeats: 5, samplesNs: [192, 192, 192] });
});

test('who cannot enter is absent, with the reason, and the others play on', async () => {
  const world = new World();
  const broken: Entrant = {
    ...{ name: 'broken', ours: true, tolerance: 0 },
    enter: () => Promise.reject(new Error('no such operator\nand a long story')),
  };
  const result = await world.play(
    [broken, world.entrant('b', 2000)],
    [{ fast: 'broken', slow: 'b', atLeast: 2 }],
  );
  expect(result.absent).toEqual([{ name: 'broken', ours: true, reason: 'no such operator' }]);
  expect(verdictsOf(result)).toMatchObject([{ outcome: 'void' }]);
  expect(ownFaults([result])).toEqual(['any row, broken: no such operator']);
});

test('goals are met, missed or open, and void when the fast one is wrong', async () => {
  const world = new World();
  const ours = world.entrant('ours', 1990, 1, true);
  const wrong = world.entrant('wrong', 990, 1.5, true);
  const peer = world.entrant('peer', 7990);
  const goals = [
    { fast: 'ours', slow: 'peer', atLeast: 4 },
    { fast: 'ours', slow: 'peer', atLeast: 5 },
    { fast: 'wrong', slow: 'peer', atLeast: 1 },
  ];
  const result = await world.play([ours, wrong, peer], goals);
  expect(verdictsOf(result).map(({ outcome }) => outcome)).toEqual(['met', 'missed', 'void']);
  expect(ownFaults([result])).toEqual(['any row, wrong: y[0] is 1.5, not 1']);
  const [standing] = result.standings;
  if (standing === undefined) throw new Error('nobody stands');
  const uneven = { ...standing, samplesNs: [1000, 2000, 2000] };
  const open = { ...result, standings: [uneven, ...result.standings.slice(1)] };
  expect(verdictsOf(open)[1]).toMatchObject({ outcome: 'open', ratio: { median: 4, high: 8 } });
});

test('a ratio pairs the samples of one round', () => {
  expect(ratioOf([8, 9, 10], [2, 3, 2])).toMatchObject({ median: 4, low: 3, high: 5 });
});

test('the table is at most 100 columns wide and marks what is wrong', async () => {
  const world = new World();
  const name = 'a contestant of a long name';
  const goals = [{ fast: 'ours', slow: name, atLeast: 4 }];
  const result = await world.play(
    [world.entrant('ours', 1990, 1, true), world.entrant(name, 1.2e9, 2)],
    goals,
  );
  const lines = [...rowLines(result), ...summaryLines([result])];
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(lines.join('\n')).toMatch(/WRONG: y\[0\] is 2, not 1/);
  expect(lines.join('\n')).toMatch(/Goals: 1 met/);
});

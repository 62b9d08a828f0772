import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { at, range, sum } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { admit, admitAll, type AdmitOptions } from '../../src/routing/admit.ts';
import { CAPACITY_CONVENTIONS, type CapacityRule, capacityOf } from '../../src/routing/capacity.ts';
import type { Choices } from '../../src/routing/choices.ts';
import { arrivalsAt, DROPPED, planDispatch } from '../../src/routing/dispatch-plan.ts';
import { loadOfRanks } from '../../src/routing/load.ts';
import { contiguousPlacement, placementOf, slotsOfRanks } from '../../src/routing/placement.ts';
import { OVERFLOW_POLICIES } from '../../src/routing/policies.ts';
import { expectedAdmission } from './policy-reference.ts';

const RUNS = Number(process.env['MOEBIUS_RUNS'] ?? 0) > 0 ? 1000 : 40;

/** Choices of `tokens` tokens, some dropped, with scores that repeat, so that ties come up. */
function drawn(seed: number, tokens: number, numExperts: number, topK: number): Choices {
  const random = seededRandom(seed);
  const hot = random.integer(numExperts);
  const ids: number[] = [];
  const scores: number[] = [];
  const all = range(tokens * numExperts).map(() => random.integer(9) / 8);
  range(tokens).forEach((token) => {
    const rest = range(numExperts);
    for (let k = 0; k < topK; k++) {
      const i = random.integer(3) > 0 && rest.includes(hot) ? rest.indexOf(hot) : random.integer(rest.length);
      const [id = 0] = rest.splice(i, 1);
      ids.push(random.integer(12) === 0 ? DROPPED : id);
      scores.push(at(all, token * numExperts + id) / 2);
    }
  });
  return { numExperts, topK, ids_TK: ids, scores_TK: scores, all_TE: all };
}

/** Ranks with any number of slots, experts anywhere, some of them twice or more, on one rank or on several. */
function placed(seed: number, numExperts: number, numRanks: number, spare: number) {
  const random = seededRandom(seed);
  const ranks = range(numRanks).map((): number[] => []);
  const slots = [...range(numExperts), ...range(spare).map(() => random.integer(numExperts))];
  for (const expert of slots) at(ranks, random.integer(numRanks)).push(expert);
  return placementOf(ranks, numExperts);
}

const cases = fc.record({
  seed: fc.nat(1e6),
  numExperts: fc.integer({ min: 1, max: 12 }),
  numRanks: fc.integer({ min: 1, max: 6 }),
  spare: fc.nat(8),
  topK: fc.integer({ min: 1, max: 4 }),
  tokens: fc.array(fc.nat(14), { minLength: 6, maxLength: 6 }),
  factor: fc.constantFrom(0.3, 0.7, 1, 1.25, 2.5),
  convention: fc.constantFrom(...CAPACITY_CONVENTIONS),
  scope: fc.constantFrom('rank' as const, 'global' as const),
});

describe.each(OVERFLOW_POLICIES)('%s', (policy) => {
  test('is what its definition says, on any placement, and its slots make a dispatch plan', () => {
    fc.assert(
      fc.property(cases, ({ seed, numExperts, numRanks, spare, topK, tokens, ...rule }) => {
        const placement = placed(seed, numExperts, numRanks, spare);
        const sources = range(numRanks).map((s) =>
          drawn(seed + s, at(tokens, s), numExperts, Math.min(topK, numExperts)),
        );
        const options: AdmitOptions = { policy, capacity: rule };
        const got = admit(sources, placement, options);
        const want = expectedAdmission(sources, placement, options);
        expect(got.slots_TK.map((slots) => [...slots])).toEqual(want.slots);
        expect(got.scores_TK.map((scores) => [...scores])).toEqual(want.scores);
        expect(got.count).toEqual(want.count);
        expect([got.rows.dropped, got.rows.moved]).toEqual([want.dropped, want.moved]);
        expect(Math.abs(got.mass.lost - want.lost)).toBeLessThanOrEqual(1e-12);
        const plan = planDispatch(got.slots_TK, slotsOfRanks(placement));
        expect(plan.receives.map(({ numRows }) => numRows)).toEqual(loadOfRanks(placement, got.count));
        range(numRanks).forEach((rank) => {
          for (const { source, entry, expert: slot } of arrivalsAt(plan, rank)) {
            expect(at(at(got.slots_TK, source), entry)).toBe(slot);
            expect(at(placement.rankOfSlot, slot)).toBe(rank);
          }
        });
      }),
      { numRuns: RUNS },
    );
  });
});

const one = (ids_TK: number[], scores_TK: number[], numExperts = 2, topK = 1): Choices => ({
  ...{ numExperts, topK, ids_TK, scores_TK },
});
const MEGATRON: CapacityRule = { convention: 'megatron', factor: 1, scope: 'global' };

test('a hand-worked case of each policy: four tokens want expert 0, each has room for two', () => {
  const choices = {
    ...one([0, 0, 0, 0], [0.1, 0.4, 0.2, 0.3]),
    all_TE: [0.2, 0.1, 0.8, 0.2, 0.4, 0.3, 0.6, 0.1],
  };
  const placement = contiguousPlacement(2, 2);
  const slots = (policy: AdmitOptions['policy']): number[] => [
    ...at(admit([choices], placement, { policy, capacity: MEGATRON }).slots_TK, 0),
  ];
  expect(slots('dropless')).toEqual([0, 0, 0, 0]);
  expect(slots('drop-position')).toEqual([0, 0, DROPPED, DROPPED]);
  expect(slots('drop-score')).toEqual([DROPPED, 0, DROPPED, 0]);
  expect(slots('next-best')).toEqual([0, 0, 1, 1]);
  expect(slots('spill')).toEqual([0, 0, DROPPED, DROPPED]);
  const moved = admit([choices], placement, { policy: 'next-best', capacity: MEGATRON });
  expect([...at(moved.scores_TK, 0)]).toEqual([0.1, 0.4, 0.15, 0.05]);
  expect(moved.mass.lost).toBeCloseTo(0.3, 12);
});

test('spill: a replica takes what the other has no room for', () => {
  const placement = placementOf([[0], [0], [1]], 2);
  const [choices, rule] = [one([0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1]), { ...MEGATRON, factor: 1.5 }];
  const admission = admit([choices], placement, {
    ...{ policy: 'spill', capacity: rule },
    // All to the first replica.
    deal: { turns: 1, slot_ET: Uint32Array.from([0, 2]) },
  });
  expect([...at(admission.slots_TK, 0)]).toEqual([0, 0, 0, 1, 2, 2]);
  expect(admission.rows).toEqual({ offered: 6, kept: 6, dropped: 0, moved: 1 });
  expect(admission.mass.lost).toBe(0);
});

test('carry: what waited comes first, and what waits at the end is told', () => {
  const placement = contiguousPlacement(2, 1);
  const batch = [one([0, 0, 0, 1], [0.4, 0.3, 0.2, 0.1])];
  const { admissions, left } = admitAll([batch, batch, batch], placement, {
    policy: 'carry',
    capacity: MEGATRON,
  });
  expect(admissions.map(({ slots_TK }) => [...at(slots_TK, 0)])).toEqual([
    [0, 0, DROPPED, 1],
    [0, DROPPED, DROPPED, 1],
    [DROPPED, DROPPED, DROPPED, 1],
  ]);
  expect(admissions.map(({ admitted }) => admitted.map(({ entry, age }) => [entry, age]))).toEqual([
    [],
    [[2, 1]],
    [
      [1, 1],
      [2, 1],
    ],
  ]);
  expect(left.map(({ entry, age }) => [entry, age])).toEqual([
    [0, 1],
    [1, 1],
    [2, 1],
  ]);
  const kept = sum(admissions.map(({ count }) => sum(count)));
  expect(kept + left.length).toBe(12);
});

test('capacity by its conventions, as worked out by hand', () => {
  const of = (convention: CapacityRule['convention'], factor: number): number =>
    capacityOf({ convention, factor, scope: 'rank' }, { numTokens: 10, topK: 2, numExperts: 4, fullest: 9 });
  expect(of('megatron', 1.25)).toBe(7);
  expect(of('tutel', 1.25)).toBe(6);
  expect(of('switch', 1.25)).toBe(3);
  expect(of('switch', 99)).toBe(10);
  expect(of('tutel', 0)).toBe(9);
  expect(of('tutel', -1)).toBe(6);
  expect(of('tutel', -2)).toBe(9);
});

describe('what cannot be is refused with what was wrong', () => {
  const placement = contiguousPlacement(2, 1);
  const admitting =
    (choices: Choices, rule: CapacityRule = MEGATRON) =>
    () =>
      admit([choices], placement, { policy: 'drop-position', capacity: rule });
  test.each([
    [admitting(one([0, 1], [1, NaN])), /token 1 of source 0 has the router score NaN/],
    [admitting(one([0, 1], [1, Infinity])), /token 1 .* Infinity/],
    [admitting(one([0, 2], [1, 1])), /token 1 of source 0 chose expert 2; ids must be in \[0, 2\)/],
    [admitting(one([0, 1, 1, 1], [1, 1, 1, 1], 2, 2)), /token 1 of source 0 chose expert 1 twice/],
    [admitting(one([0, 1, 0], [1, 1, 1], 2, 2)), /3 ids and 3 scores; there must be 2 of each/],
    [admitting(one([0], [1]), { ...MEGATRON, factor: 0 }), /megatron forbids zero and less/],
    [admitting(one([0], [1]), { ...MEGATRON, convention: 'switch', factor: -1 }), /switch forbids/],
    [admitting(one([0], [1]), { ...MEGATRON, factor: NaN }), /capacity factor is NaN/],
    [admitting(one([0], [1]), { ...MEGATRON, convention: 'megatrn' as never }), /did you mean "megatron"/],
    [() => placementOf([[0], [1]], 3), /2 slots cannot hold 3 experts/],
    [() => placementOf([[0, 0], [0]], 2), /expert 1 lies in none of the 3 slots/],
    [() => placementOf([[0, 5]], 2), /slot 1 holds expert 5/],
    [() => contiguousPlacement(70_000, 4), /experts \(70000\) must be a whole number from 1 to 65536/],
  ])('%#', (attempt, message) => {
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(message);
  });

  test('an empty batch is none of these', () => {
    const admission = admit([one([], [])], placement, { policy: 'drop-score', capacity: MEGATRON });
    expect(admission.rows).toEqual({ offered: 0, kept: 0, dropped: 0, moved: 0 });
    expect(admission.count).toEqual([0, 0]);
  });
});

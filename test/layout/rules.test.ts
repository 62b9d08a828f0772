import { describe, expect, test } from 'vitest';
import { ConfigError, messageOf } from '../../src/core/errors.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { MoeConfig } from '../../src/model/config.ts';
import { modelWith } from './support.ts';

const refused: [text: string, changes: Partial<MoeConfig>, message: RegExp][] = [
  [
    'ep=15,tp=2',
    {},
    /tp \(2\) does not divide ep \(15\); with folding the TP groups are formed among the ep ranks of a replica's stage, ep\/tp of them\. Try ep=16\./,
  ],
  ['tp=2', {}, /tp \(2\) does not divide ep \(1\).*Try ep=2 or tp=1\./],
  ['ep=8,tp=32', {}, /tp \(32\) does not divide ep \(8\).*Try tp=8\./],
  [
    'ep=12',
    {},
    /ep \(12\) does not divide numExperts \(16\) of test-model; ranks must own equal shares of the experts\. Try ep=8\./,
  ],
  ['ep=64', {}, /ep \(64\) does not divide numExperts \(16\).*Try ep=16\./],
  ['ep=6,tp=3', {}, /ep \(6\) does not divide numExperts \(16\).*Try ep=4,tp=2\./],
  [
    'ep=16,tp=8',
    { numHeads: 12, numKvHeads: 4 },
    /tp \(8\) does not divide numHeads \(12\) of test-model; the ranks of a TP group must own equally many query heads\. Try tp=4\./,
  ],
  [
    'ep=16,tp=4',
    { numHeads: 24, numKvHeads: 6 },
    /tp \(4\) and numKvHeads \(6\) of test-model do not divide each other; a rank must own whole KV heads.*Try tp=2\./,
  ],
  [
    'ep=4',
    { numHeads: 10, numKvHeads: 4 },
    /numHeads \(10\) of test-model is not a multiple of numKvHeads \(4\).*Try numKvHeads=5\./,
  ],
  [
    'pp=17',
    {},
    /pp \(17\) is more than numLayers \(16\) of test-model; every stage needs a layer\. Try pp=16\./,
  ],
];

describe('planLayout refuses, with a remedy', () => {
  test.each(refused)('%s with %j', (text, changes, message) => {
    const plan = (): unknown => planLayout(parseLayout(text), modelWith(changes));
    expect(plan).toThrow(ConfigError);
    expect(plan).toThrow(message);
  });

  test.each(refused)('%s with %j: everything it suggests is accepted', (text, changes) => {
    const spec = parseLayout(text);
    const remedies = remediesOf(() => planLayout(spec, modelWith(changes)));
    expect(remedies.length).toBeGreaterThan(0);
    for (const remedy of remedies) {
      const next = { ...spec, ...remedy };
      expect(() => planLayout(next, modelWith({ ...changes, ...remedy }))).not.toThrow();
    }
  });
});

/** 'Try ep=4,tp=1 or ep=8.' -> [{ ep: 4, tp: 1 }, { ep: 8 }] */
function remediesOf(call: () => unknown): Record<string, number>[] {
  try {
    call();
  } catch (error) {
    const options = /Try (.*)\.$/.exec(messageOf(error))?.[1]?.split(' or ') ?? [];
    return options.map((option) => {
      const changes: Record<string, number> = {};
      for (const [, name = '', value] of option.matchAll(/(\w+)=(\d+)/g)) changes[name] = Number(value);
      return changes;
    });
  }
  return [];
}

test('a tuple made in code is checked like one that was parsed', () => {
  const plan = (ep: number): unknown => planLayout({ ep, pp: 1, tp: 1, dp: 1 }, modelWith());
  expect(() => plan(0)).toThrow(/ep \(0\) is not a whole number/);
  expect(() => plan(NaN)).toThrow(/ep \(NaN\) is not a whole number/);
  expect(() => plan(1.5)).toThrow(ConfigError);
});

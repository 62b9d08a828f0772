/** A family of kernels has one name, wherever a user meets it. */
import { expect, test } from 'vitest';
import { ops } from '../../src/ops/ops.ts';
import { TUNED_FAMILIES } from '../../src/cli/verbs/tune.ts';
import { caseFamilies } from '../../src/validate/cases.ts';

test('what validate and bench call a family is an op, or internal', () => {
  expect(caseFamilies).toEqual([...ops.map(({ name }) => name), 'internal'].sort(byPlaceIn(caseFamilies)));
});

test('what tune calls a family is an op, or what no op exposes alone', () => {
  const names = ops.map(({ name }) => name);
  expect(TUNED_FAMILIES.filter((family) => !names.includes(family))).toEqual(['moe-path', 'router']);
});

function byPlaceIn(order: readonly string[]): (a: string, b: string) => number {
  return (a, b) => order.indexOf(a) - order.indexOf(b);
}

/** The cases themselves: what they cover, and that their budgets would show an error. */
import { describe, expect, test } from 'vitest';
import { at } from '../../src/core/math.ts';
import { ops } from '../../src/ops/ops.ts';
import { caseFamilies, kernelCases, quickCases } from '../../src/validate/cases.ts';

const rms = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / Math.max(1, values.length));

test('every op has cases, and some in the quick subset', () => {
  for (const { name } of ops) {
    expect(caseFamilies).toContain(name);
    expect(quickCases.filter((c) => c.family === name).length).toBeGreaterThan(1);
  }
});

test('names are unique', () => {
  const names = kernelCases.map((c) => `${c.family}/${c.name}`);
  expect(new Set(names).size).toBe(names.length);
});

test('cases are of something, but for those of nothing', () => {
  const isEmpty = (c: (typeof kernelCases)[number]): boolean =>
    [...c.reference().values()].every(({ values }) => values.length === 0);
  const names = kernelCases.filter(isEmpty).map(({ name }) => name);
  expect(names.filter((name) => !/\bno (tokens|rows|sequences|positions)\b/.test(name))).toEqual([]);
});

describe.each(kernelCases.map((c) => [`${c.family}: ${c.name}`, c] as const))('%s', (_name, kernelCase) => {
  test('allows errors far below its values', () => {
    for (const { values, shape, budget } of kernelCase.reference().values()) {
      expect(values).toHaveLength(shape.reduce((a, b) => a * b, 1));
      if (!('perElement' in budget)) continue;
      expect(budget.perElement).toHaveLength(values.length);
      expect(budget.perElement.every((allowed) => allowed >= 0)).toBe(true);
      expect(rms(budget.perElement)).toBeLessThanOrEqual(0.02 * rms(values) + 1e-30);
    }
  });

  test('costs a finite number of FLOP and bytes', () => {
    const { flops, bytes } = kernelCase.cost();
    expect(Number.isFinite(flops) && flops >= 0).toBe(true);
    expect(Number.isFinite(bytes) && bytes >= 0).toBe(true);
  });
});

test('inputs are the same in every run', () => {
  for (const kernelCase of quickCases) {
    for (const [name, { data }] of kernelCase.inputs?.().tensors ?? []) {
      expect(kernelCase.inputs?.().tensors.get(name)?.data).toBe(data);
    }
  }
  const first = kernelCases
    .find((c) => c.name === 'one token')
    ?.inputs?.()
    .tensors.get('logits');
  expect(at(first?.data ?? [], 0)).toBeCloseTo(-0.1, 0);
});

/** When a variant is better than the default, and when nobody can say. */
import { describe, expect, test } from 'vitest';
import { decide, rank, spreadOf } from '../../src/tune/decide.ts';
import { evidenceOf } from './support.ts';

const own = evidenceOf('own', 1000);

describe('decide', () => {
  test('takes what beats the default by more than the default differs from itself', () => {
    expect(decide([own, evidenceOf('fast', 800)], 'own', 0.1, 1)).toMatchObject({ choice: 'fast' });
    expect(decide([own, evidenceOf('fast', 800)], 'own', 0.25, 1).choice).toBeNull();
  });

  test('sees a gain through a machine that slows down for both', () => {
    const drift = [1, 1, 2, 2, 3, 3, 1, 1];
    const slow = { ...own, samplesNs: drift.map((d) => 1000 * d) };
    const fast = { ...own, variant: 'fast', samplesNs: drift.map((d) => 900 * d) };
    expect(decide([slow, fast], 'own', 0.02, 1).choice).toBe('fast');
  });

  test('keeps the default when the interval of the ratio holds 1', () => {
    expect(decide([own, evidenceOf('wobbly', 950, 0.2)], 'own', 0.001, 1).choice).toBeNull();
  });

  test('keeps the default when the clock cannot tell the two apart', () => {
    expect(decide([own, evidenceOf('fast', 800)], 'own', 0.01, 300).choice).toBeNull();
    const often = { ...evidenceOf('fast', 800), repeats: 10 };
    expect(decide([{ ...own, repeats: 10 }, often], 'own', 0.01, 300).choice).toBe('fast');
  });

  test('of two that nobody can tell apart, takes the one that the family prefers', () => {
    const [a, b] = [evidenceOf('a', 800), evidenceOf('b', 799, 0.05)];
    expect(decide([own, a, b], 'own', 0.01, 1).choice).toBe('a');
    expect(decide([own, b, a], 'own', 0.01, 1).choice).toBe('b');
    expect(decide([own, a, evidenceOf('c', 500)], 'own', 0.01, 1).choice).toBe('c');
  });

  test('has nothing to say without a time of the default', () => {
    expect(decide([evidenceOf('fast', 1)], 'own', 0, 1).choice).toBeNull();
  });
});

test('rank is the same seen from the other side', () => {
  const fast = evidenceOf('fast', 800);
  expect(rank(fast, own, 1)).toBe('faster');
  expect(rank(own, fast, 1)).toBe('slower');
  expect(rank(own, own, 1)).toBe('equal');
});

test('the spread is the far end of the interval of two series of the same thing', () => {
  expect(spreadOf([100, 100, 100], [100, 100, 100])).toBe(0);
  expect(spreadOf([100, 110, 100], [100, 100, 100])).toBeCloseTo(0.1);
  expect(spreadOf([100, 80, 100], [100, 100, 100])).toBeCloseTo(0.2);
});

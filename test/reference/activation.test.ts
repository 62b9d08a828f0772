import { describe, expect, test } from 'vitest';
import { gated, gelu, relu, sigmoid, silu, swigluOai } from '../../src/reference/activation.ts';

test('values at hand', () => {
  expect(sigmoid(0)).toBe(0.5);
  expect(sigmoid(Math.log(3))).toBeCloseTo(0.75, 14);
  expect(sigmoid(-1000)).toBe(0);
  expect(silu(Math.log(3))).toBeCloseTo(0.75 * Math.log(3), 14);
  expect(gelu(0)).toBe(0);
  expect(gelu(1)).toBeCloseTo(0.841192, 6);
  expect(gelu(-1)).toBeCloseTo(-0.158808, 6);
  expect(relu(-2)).toBe(0);
  expect(relu(3)).toBe(3);
  expect(relu(NaN)).toBeNaN();
});

describe('swigluOai', () => {
  test('clamps the gate from above only, before its sigmoid too', () => {
    const seven = 7 / (1 + Math.exp(-1.702 * 7));
    expect(swigluOai(100, 0)).toBeCloseTo(seven, 14);
    expect(swigluOai(7, 0)).toBeCloseTo(seven, 14);
    expect(swigluOai(-10, 0)).toBeCloseTo(-10 / (1 + Math.exp(17.02)), 14);
  });

  test('clamps up on both sides and adds beta', () => {
    const gate = swigluOai(1, 0);
    expect(swigluOai(1, 100)).toBeCloseTo(8 * gate, 14);
    expect(swigluOai(1, -100)).toBeCloseTo(-6 * gate, 14);
    expect(swigluOai(1, 2)).toBeCloseTo(3 * gate, 14);
  });

  test('takes other constants', () => {
    expect(swigluOai(2, 5, { alpha: 0, beta: 0, limit: 3 })).toBe(3); // 2 * sigmoid(0) * min(5, 3)
  });
});

test('gated multiplies by up, or leaves it out', () => {
  expect(gated('relu', 3, -2)).toBe(-6);
  expect(gated('relu', 3)).toBe(3);
  expect(gated('identity', -3, 2)).toBe(-6);
  expect(gated('silu', 1, 2)).toBe(2 * silu(1));
  expect(gated('gelu', 1, 2)).toBe(2 * gelu(1));
  expect(gated('swiglu_oai', 1, 2)).toBe(swigluOai(1, 2));
  expect(() => gated('swiglu_oai', 1)).toThrow(/swiglu_oai needs w3/);
});

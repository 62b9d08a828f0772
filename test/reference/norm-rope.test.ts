import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { rmsNorm } from '../../src/reference/norm.ts';
import { rope } from '../../src/reference/rope.ts';
import { anySeed, expectClose, f64, normals } from './arrays.ts';

describe('rmsNorm', () => {
  test('by hand', () => {
    const { y_TD } = rmsNorm({ x_TD: f64(3, 4, 0, 0), weight_D: f64(1, 2), eps: 0.5 });
    const scale = 1 / Math.sqrt(12.5 + 0.5);
    expectClose(y_TD, [3 * scale, 8 * scale, 0, 0]);
  });

  test('the residual is added before, and returned', () => {
    const { y_TD, sum_TD } = rmsNorm({
      x_TD: f64(1, 1),
      residual_TD: f64(2, 3),
      weight_D: f64(1, 2),
      eps: 0,
    });
    expect(sum_TD).toEqual(f64(3, 4));
    expectClose(y_TD, [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)]);
  });

  test('rows come out with a mean square of 1, whatever their scale', () => {
    fc.assert(
      fc.property(anySeed, fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (seed, scale) => {
        const x_TD = normals(seed, 16).map((v) => v * scale);
        const { y_TD } = rmsNorm({ x_TD, weight_D: new Float64Array(16).fill(1), eps: 0 });
        expect(y_TD.reduce((sum, v) => sum + v * v, 0) / 16).toBeCloseTo(1, 10);
      }),
    );
  });
});

describe('rope', () => {
  const quarter = Math.PI / 2;

  test('by hand: position pi/2 turns the first pair by a right angle', () => {
    // theta = 4, Dh = 4: pair 1 turns at 1/2 of the speed, by 45 degrees
    const half = Math.SQRT1_2;
    const common = { numHeads: 1, headDim: 4, positions: [quarter], theta: 4 };
    const halves = rope({ ...common, x: f64(1, 1, 0, 0), style: 'halves' });
    expectClose(halves, [0, half, 1, half]); // pairs (0, 2) and (1, 3)
    const interleaved = rope({ ...common, x: f64(1, 0, 1, 0), style: 'interleaved' });
    expectClose(interleaved, [0, 1, half, half]); // pairs (0, 1) and (2, 3)
  });

  test('each row has a position of its own; 0 changes nothing', () => {
    const x = f64(1, 0, 1, 0);
    const y = rope({ x, numHeads: 1, headDim: 2, positions: [0, quarter], theta: 10000, style: 'halves' });
    expectClose(y, [1, 0, 0, 1]);
  });

  const style = fc.constantFrom('halves' as const, 'interleaved' as const);

  test('keeps the length of every head', () => {
    fc.assert(
      fc.property(anySeed, fc.nat(5000), style, (seed, position, style) => {
        const x = normals(seed, 2 * 3 * 8);
        const y = rope({ x, numHeads: 3, headDim: 8, positions: [position, 7], theta: 1e4, style });
        for (let head = 0; head < 6; head++) {
          const part = (v: Float64Array): number => Math.hypot(...v.subarray(8 * head, 8 * head + 8));
          expect(part(y)).toBeCloseTo(part(x), 10);
        }
      }),
    );
  });

  test('a score depends on the distance of two positions only', () => {
    fc.assert(
      fc.property(anySeed, fc.nat(500), fc.nat(50), style, (seed, start, distance, style) => {
        const turn = (s: number, position: number): Float64Array =>
          rope({ x: normals(s, 8), numHeads: 1, headDim: 8, positions: [position], theta: 1e4, style });
        const score = (p: number, q: number): number =>
          turn(seed, p).reduce((sum, v, i) => sum + v * (turn(seed + 1, q)[i] ?? NaN), 0);
        expect(score(start, start + distance)).toBeCloseTo(score(0, distance), 9);
      }),
    );
  });
});

/** Long work on the host in one call and in pieces: the same result, and between pieces others have their turn. */
import { expect, test } from 'vitest';
import { inPieces, oncePiecewise, piecesOf, piecewise } from '../../src/core/async/pieces.ts';
import { type Random, seededRandom } from '../../src/core/random.ts';
import { benchCases, SCALES } from '../../src/bench/kernels/bench-cases.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { opByName } from '../../src/ops/ops.ts';
import { drawCase } from '../../src/validate/draw/draw-case.ts';
import { CancelledError } from '../../src/core/errors.ts';

/** Takes so many ms of this thread. */
function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

const slowSum = piecewise(function* (count: number) {
  let sum = 0;
  for (let i = 1; i <= count; i++) {
    spin(10);
    sum += i;
    yield;
  }
  return sum;
});

test('one call and pieces come to the same', async () => {
  expect(slowSum(4)).toBe(10);
  expect(await inPieces(slowSum.pieces(4), undefined)).toBe(10);
  // What has no pieces is one.
  expect(await inPieces(piecesOf(Math.max, 3, 5), undefined)).toBe(5);
  for (const name of ['matmul', 'attention', 'paged-attention', 'tp-attention', 'moe', 'gate-topk', 'rope']) {
    const { reference } = drawCase(opByName(name), 3);
    const whole = reference();
    expect([name, await inPieces(piecesOf(drawCase(opByName(name), 3).reference), undefined)]).toEqual([
      name,
      whole,
    ]);
  }
});

test('a timer has its turn between pieces, and an abort ends the work', async () => {
  const controller = new AbortController();
  const began = performance.now();
  setTimeout(() => controller.abort(), 20);
  const work = inPieces(slowSum.pieces(10_000), controller.signal);
  await expect(work).rejects.toBeInstanceOf(CancelledError);
  // Of 100 s.
  expect(performance.now() - began).toBeLessThan(20_000);
  await expect(inPieces(slowSum.pieces(1), controller.signal)).rejects.toBeInstanceOf(CancelledError);
});

test('what was called off is begun anew, what came to its end is kept', async () => {
  let begun = 0;
  const kept = oncePiecewise(
    piecewise(function* () {
      begun += 1;
      return yield* slowSum.pieces(5);
    }),
  );
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 0);
  await expect(inPieces(kept.pieces(), controller.signal)).rejects.toBeInstanceOf(CancelledError);
  expect([await inPieces(kept.pieces(), undefined), kept(), begun]).toEqual([15, 15, 2]);
});

test('what a piece throws is thrown', async () => {
  const faulty = piecewise(function* () {
    yield;
    throw new Error('no');
  });
  expect(() => faulty()).toThrow('no');
  await expect(inPieces(faulty.pieces(), undefined)).rejects.toThrow('no');
});

test('inputs of the largest rows of the bench are made in pieces: the same numbers, and an abort is seen meanwhile', async () => {
  const normals = (): Random => seededRandom(7);
  expect(await inPieces(normals().normals.pieces(10_000, 2), undefined)).toEqual(
    normals().normals(10_000, 2),
  );
  const row = benchCases(SCALES.software).find(({ name }) => name.startsWith('card expert'));
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 0);
  const began = performance.now();
  await expect(row?.prepare({ signal: controller.signal } as Gpu)).rejects.toThrow(CancelledError);
  // All of them take half a second; the first rest comes after 30 ms.
  expect(performance.now() - began).toBeLessThan(5000);
});

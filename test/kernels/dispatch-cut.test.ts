/** Long products and attention are cut into dispatches that a watchdog leaves alone: more of them, with the same bits. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { at } from '../../src/core/math.ts';
import { betterPeak } from '../../src/core/peak.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { gridPieces } from '../../src/kernels/attention/grid.ts';
import { prepareGemm } from '../../src/kernels/dense/gemm.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { rowRuns } from '../../src/ops/row-runs.ts';
import { createEngine } from '../../src/runtime/engine.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
let model: Checkpoint;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  model = await loadTinyMoe();
});
afterAll(() => gpu.destroy());

/** What `work` gives where a dispatch does `flops` at most. */
async function within<T>(flops: number, work: () => Promise<T>): Promise<T> {
  const before = gpu.mostDispatchFlops;
  gpu.mostDispatchFlops = flops;
  try {
    return await work();
  } finally {
    gpu.mostDispatchFlops = before;
  }
}

test('half a second of a peak, which is assumed until one was measured; the best that was counts', () => {
  expect(gpu.mostDispatchFlops).toBe(1e11);
  const before = gpu.peak;
  expect(before).toEqual({ flopsPerSecond: 2e11, source: 'assumed' });
  try {
    gpu.peak = betterPeak(before, 5e10);
    expect([gpu.mostDispatchFlops, gpu.peak.source]).toEqual([2.5e10, 'measured']);
    expect(betterPeak(gpu.peak, 4e10)).toEqual(gpu.peak);
    expect(gpu.under(new AbortController().signal).mostDispatchFlops).toBe(2.5e10);
    expect(rowRuns(gpu, 256, 1e8).map(({ count }) => count)).toEqual([64, 64, 64, 64]);
    gpu.peak = betterPeak(before, 1.5e10);
    expect(rowRuns(gpu, 256, 4e7).map(({ count }) => count)).toEqual([128, 128]);
  } finally {
    gpu.peak = before;
  }
});

test('a product in runs of 64 rows', async () => {
  const [rows, depth, numCols] = [150, 20, 9];
  const shape = { numRows: rows, depth, numCols, weightDtype: 'f32' as const };
  const values = Float32Array.from({ length: rows * depth }, (_, i) => ((i * 37) % 101) / 64 - 0.7);
  const a = gpu.upload('a', values);
  const b = gpu.upload('b', values.subarray(0, numCols * depth));
  const c = gpu.elements('c', rows * numCols);
  const kernel = await prepareGemm(gpu, shape);
  const computed = async () => {
    gpu.write(c, new Float32Array(rows * numCols).fill(NaN));
    const commands = gpu.commands('product');
    kernel.record(commands, rows, { a, b, c });
    const { dispatches } = commands;
    commands.submit();
    return { dispatches, data: (await gpu.read(c, [rows, numCols])).data };
  };
  const whole = await computed();
  const cut = await within(2 * depth * numCols * 130, computed);
  expect([whole.dispatches, cut.dispatches]).toEqual([1, 2]);
  expect(cut.data).toEqual(whole.data);
  expect((await within(1, computed)).dispatches).toBe(3);
  for (const buffer of [a, b, c]) buffer.destroy();
});

test('attention by sequences, then heads, then queries, each once', () => {
  const block = { queries: 4, workgroups: 2 };
  const size = { maxQueries: 10, numHeads: 3, numSequences: 2 };
  const firsts = (mostInAll: number): number[][] =>
    gridPieces(block, size, 100, mostInAll).map(({ first, grid }) => [
      first.firstSequence,
      first.firstHead,
      first.firstQuery,
      ...grid,
    ]);
  expect(firsts(36)).toEqual([[0, 0, 0, 6, 3, 2]]);
  expect(firsts(18)).toEqual([0, 1].map((s) => [s, 0, 0, 6, 3, 1]));
  expect(firsts(12)).toEqual(
    [0, 1].flatMap((s) => [
      [s, 0, 0, 6, 2, 1],
      [s, 2, 0, 6, 1, 1],
    ]),
  );
  expect(firsts(4)).toEqual(
    [0, 1].flatMap((s) =>
      [0, 1, 2].flatMap((h) => [
        [s, h, 0, 4, 1, 1],
        [s, h, 8, 2, 1, 1],
      ]),
    ),
  );
  expect(firsts(0)).toHaveLength(2 * 3 * 3);
});

test.each(['ep=1,pp=1,tp=1,dp=1', 'ep=2,pp=1,tp=1,dp=1'])('an engine on %s', async (text) => {
  const layout = planLayout(parseLayout(text), model.config);
  const engine = await createEngine(gpu, { layout, weights: model, maxSequences: 2, maxLength: 64 });
  const ids = Array.from({ length: 50 }, (_, i) => (i * 7) % 60);
  const step = (sequence: number) => engine.forward([{ sequence, ids }]);
  try {
    const whole = await step(0);
    const cut = await within(1000, () => step(1));
    expect(cut.dispatches).toBeGreaterThan(2 * whole.dispatches);
    expect(at(cut.logits, 0)).toEqual(at(whole.logits, 0));
    expect(Array.from(at(whole.logits, 0)).every(Number.isFinite)).toBe(true);
  } finally {
    engine.destroy();
  }
});

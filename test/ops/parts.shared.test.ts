/** Tensors larger than a binding: their rows go through part by part, with the same bits. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { product, sum } from '../../src/core/math.ts';
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { runOp } from '../../src/ops/ops.ts';
import { rowRuns } from '../../src/ops/row-runs.ts';
import { f32Tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { drawPages } from '../../src/validate/draw/draw-pages.ts';
import { maker } from '../../src/validate/draw/maker.ts';
import { bindingAtMost } from '../setup/binding.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

/** Runs something on an adapter that binds no more than `bytes`, and fails for a larger binding. */
const binding = <T>(bytes: number, run: () => Promise<T>): Promise<T> => bindingAtMost(gpu, bytes, run);

const make = maker('parts');
const weights = (...shape: number[]): Tensor => make.weight(shape);

test.each([
  ['rms-norm', 16384, { x: make.normal([300, 64]), weight: make.normal([64]) }, {}],
  [
    'rms-norm',
    8192,
    { x: make.normal([200, 20]), residual: make.normal([200, 20]), weight: make.normal([20]) },
    {},
  ],
  ['matmul', 16384, { a: make.normal([500, 24]), b: weights(20, 24) }, {}],
  // Rows of more than a 64th of a binding.
  ['matmul', 81920, { a: make.normal([60, 640]), b: weights(32, 640) }, {}],
  ['rope', 8192, { x: make.normal([2, 100, 2, 16]) }, {}],
  [
    'attention',
    8192,
    { q: make.normal([20, 3, 2, 8]), k: make.normal([20, 20, 1, 8]), v: make.normal([20, 20, 1, 8]) },
    {},
  ],
  // An odd number of halves a sequence, so that 128 of them are aligned; with sinks, which are bound whole.
  [
    'attention',
    8192,
    {
      q: make.normal([300, 1, 1, 5]),
      k: make.half(make.normal([300, 3, 1, 5])),
      v: make.half(make.normal([300, 3, 1, 5])),
      sinks: make.normal([1]),
    },
    {},
  ],
  [
    'paged-attention',
    8192,
    {
      q: make.normal([100, 2, 2, 8]),
      k_pages: make.normal([16, 4, 1, 8]),
      v_pages: make.normal([16, 4, 1, 8]),
      ...drawPages(make, { batch: 100, queries: 2, numPages: 16, pageSize: 4, perSequence: 3 }),
    },
    {},
  ],
  ['gate-topk', 8192, { logits: make.normal([700, 8]) }, { k: 2 }],
  [
    'moe',
    16384,
    {
      x: make.normal([400, 16]),
      logits: make.normal([400, 3]),
      w1: weights(3, 8, 16),
      w3: weights(3, 8, 16),
      w2: weights(3, 16, 8),
    },
    { k: 2 },
  ],
])('%s, with bindings of %i bytes', async (name, bytes, given, attrs) => {
  const tensors = new Map<string, Tensor>(Object.entries(given));
  const most = Math.max(...[...tensors.values()].map((t) => 4 * product(t.shape)));
  expect(most).toBeGreaterThan(bytes);
  const whole = await runOp(gpu, name, tensors, attrs);
  const inParts = await binding(bytes, () => runOp(gpu, name, tensors, attrs));
  for (const [output, t] of whole) expect(inParts.get(output)?.data, output).toEqual(t.data);
  expect(gpu.ledger.bytes).toBe(0);
});

test('keys of one sequence beyond a binding are refused before anything is recorded', async () => {
  const given = {
    q: make.normal([2, 1, 1, 8]),
    k: make.normal([2, 200, 1, 8]),
    v: make.normal([2, 200, 1, 8]),
  };
  await expect(binding(4096, () => runOp(gpu, 'attention', new Map(Object.entries(given))))).rejects.toThrow(
    /binds 4096 bytes at once, .*Give sequences of fewer positions or heads/,
  );
  expect(gpu.ledger.bytes).toBe(0);
});

test('what cannot be parted is refused with a remedy that tensors have', async () => {
  const a = make.normal([3, 32]);
  await expect(
    binding(4096, () =>
      runOp(
        gpu,
        'matmul',
        new Map([
          ['a', a],
          ['b', weights(64, 32)],
        ]),
      ),
    ),
  ).rejects.toThrow(
    /^b takes 8\.00 KiB on the device, but .* binds at most 4\.00 KiB\. Give it in parts, or use/,
  );
  const odd = f32Tensor([70, 333], new Float32Array(70 * 333));
  const weight = make.normal([333]);
  await expect(
    binding(4096, () =>
      runOp(
        gpu,
        'rms-norm',
        new Map([
          ['x', odd],
          ['weight', weight],
        ]),
      ),
    ),
  ).rejects.toThrow(
    /^64 rows of 333 values must be bound at once, .*Make the rows of inputs and outputs multiples of 64 values/,
  );
  expect(gpu.ledger.bytes).toBe(0);
});

test('runs fit the work, the number and the binding, and cover every row once', () => {
  for (const numRows of [0, 1, 63, 64, 65, 1000, 100_000]) {
    for (const most of [Infinity, 65535, 100]) {
      for (const widths of [[], [64], [20, 128], [2 ** 19]]) {
        const runs = rowRuns(gpu, numRows, 1e5, most, widths);
        expect(sum(runs.map(({ count }) => count))).toBe(numRows);
        runs.forEach(({ first, count }, i) => {
          expect(first).toBe(sum(runs.slice(0, i).map((run) => run.count)));
          expect(count).toBeLessThanOrEqual(most);
          for (const width of widths) {
            expect(4 * width * count).toBeLessThanOrEqual(gpu.limits.maxStorageBufferBindingSize);
            expect((4 * width * first) % 256).toBe(0);
          }
        });
      }
    }
  }
});

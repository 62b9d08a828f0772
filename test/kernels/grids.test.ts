/** Grids of problems beyond 65,535 workgroups: no dimension is longer than that, and nothing is left out. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CommandList } from '../../src/gpu/command-list.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import type { Grid, KernelDefinition } from '../../src/gpu/kernel.ts';
import { tileCapacity } from '../../src/core/plan-sizes.ts';
import { prepareRmsNorm } from '../../src/kernels/dense/rms-norm.ts';
import { prepareRope, prepareRopeAppend } from '../../src/kernels/attention/rope.ts';
import { prepareTopk } from '../../src/kernels/routing/gating.ts';
import { prepareAdd, prepareCombine, prepareGatherRows } from '../../src/kernels/routing/rows.ts';
import { powerOfTwo, spread } from '../../src/kernels/variants.ts';
import type { GpuBuffer } from '../../src/gpu/buffer.ts';
import { product } from '../../src/core/math.ts';

const MOST = 65535;
const none = {} as GpuBuffer;

/** As much of a device as choosing and recording kernels takes: nothing is compiled, nothing runs. */
const onPaper = {
  facts: { kind: 'software' },
  kernelsFor: 'software',
  rowLanes: 8,
  limits: { maxComputeWorkgroupsPerDimension: MOST, maxComputeWorkgroupStorageSize: 32768 },
  has: () => false,
  kernel: (definition: KernelDefinition, spec: object = {}) =>
    Promise.resolve({ definition, spec: { ...definition.spec, ...spec } }),
} as unknown as Gpu;

/** The grids of all dispatches, with their specs. */
function gridsOf(record: (commands: CommandList) => void): { grid: Grid; lanes: number }[] {
  const found: { grid: Grid; lanes: number }[] = [];
  const commands = {
    dispatch: (
      { definition, spec }: { definition: KernelDefinition; spec: Record<string, number> },
      params: Record<string, number>,
    ) => found.push({ grid: definition.grid(spec, params), lanes: spec['WG'] ?? 1 }),
  };
  record(commands as unknown as CommandList);
  return found;
}

test('a spread grid has all workgroups, few too many, and no dimension beyond the limit', () => {
  expect([0, 1, MOST, MOST + 1, 2 * MOST + 1].map(spread)).toEqual([
    [0, 0, 1],
    [1, 1, 1],
    [MOST, 1, 1],
    [32768, 2, 1],
    [43691, 3, 1],
  ]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (n) => {
      const grid = spread(n);
      expect(product(grid)).toBeGreaterThanOrEqual(n);
      expect(product(grid) - n).toBeLessThan(grid[1]);
      for (const side of grid) expect(side).toBeLessThanOrEqual(MOST);
    }),
  );
});

const rows = 2_000_000;
const heads = { numHeads: 2, numKvHeads: 1, headDim: 8, interleaved: false };
const row = { numRows: rows, numHeads: 2, xStride: 16, xStart: 0 };

/** Kernels whose grid grows with the rows, and how many threads (or workgroups of one row) that many rows take. */
const GROWING: Readonly<Record<string, readonly [threads: number, () => Promise<(c: CommandList) => void>]>> =
  {
    combine: [
      rows * 64,
      async () => {
        const kernel = await prepareCombine(onPaper, { width: 8, topK: 1, residual: false });
        return (c) => kernel.record(c, rows, { expertOut: none, slot: none, scores: none, y: none });
      },
    ],
    gather: [
      rows * 64,
      async () => {
        const kernel = await prepareGatherRows(onPaper, { width: 8, dtype: 'f32' });
        return (c) => kernel.record(c, { numRows: rows, numSource: 9 }, { x: none, index: none, y: none });
      },
    ],
    add: [
      64 * rows,
      async () => {
        const kernel = await prepareAdd(onPaper);
        return (c) => kernel.record(c, 64 * rows, { a: none, b: none, y: none });
      },
    ],
    'rope, a thread per pair': [
      (rows * 2 * 8) / 2,
      async () => {
        const kernel = await prepareRope(onPaper, heads, 'default');
        return (c) => kernel.record(c, row, { x: none, table: none, position: none, y: none });
      },
    ],
    'rope, a thread per four pairs': [
      (rows * 8) / 8,
      async () => {
        const kernel = await prepareRope(onPaper, heads, 'rows');
        return (c) => kernel.record(c, row, { x: none, table: none, position: none, y: none });
      },
    ],
    'append to the cache, two pairs a thread': [
      (rows * (2 + 2 * 1) * 8) / 2 / 2,
      async () => {
        const kernel = await prepareRopeAppend(onPaper, heads);
        const t = { qkv: none, table: none, place: none, q: none, kCache: none, vCache: none };
        return (c) => kernel.record(c, rows, t);
      },
    ],
    'norm, a workgroup per row': [
      rows * 8,
      async () => {
        const kernel = await prepareRmsNorm(onPaper, { width: 8, eps: 1, residual: false }, 'default');
        return (c) => kernel.record(c, { numRows: rows }, { x: none, weight: none, y: none, sum: none });
      },
    ],
    'norm, a workgroup per four rows': [
      (rows / 4) * 8,
      async () => {
        const kernel = await prepareRmsNorm(onPaper, { width: 8, eps: 1, residual: false }, 'rows');
        return (c) => kernel.record(c, { numRows: rows }, { x: none, weight: none, y: none, sum: none });
      },
    ],
    'top-k, a workgroup per token': [
      rows * 8,
      async () => {
        const gating = { numExperts: 8, topK: 2, score: 'softmax', renormalize: true } as const;
        const kernel = await prepareTopk(onPaper, gating, 'workgroup');
        return (c) => kernel.record(c, rows, { logits: none, ids: none, scores: none });
      },
    ],
  };

test.each(Object.entries(GROWING))('%s: 2,000,000 rows', async (_what, [threads, prepare]) => {
  const [found] = gridsOf(await prepare());
  if (found === undefined) throw new Error('nothing was recorded');
  expect(product(found.grid) * found.lanes).toBeGreaterThanOrEqual(threads);
  for (const side of found.grid) expect(side).toBeLessThanOrEqual(MOST);
});

test('room for experts is a power of two that holds them', () => {
  expect([1, 2, 3, 64, 65, 1000].map((n) => powerOfTwo(n))).toEqual([1, 2, 4, 64, 128, 1024]);
  expect([1, 64, 65].map((n) => powerOfTwo(n, 64))).toEqual([64, 64, 128]);
});

test('a list of tiles holds the worst case: no expert has rows for whole tiles', () => {
  // 10 rows of 3 experts in tiles of 4: 4 + 4 + 2 take 3, 5 + 4 + 1 and 1 + 1 + 8 take 4, 5 + 5 + 0 take 4.
  expect(tileCapacity(10, 3, 4)).toBeGreaterThanOrEqual(4);
  const sizes = fc.array(fc.nat(40), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 32 }), (rowsOf, tileRows) => {
      const total = rowsOf.reduce((a, b) => a + b, 0);
      const tiles = rowsOf.reduce((count, n) => count + Math.ceil(n / tileRows), 0);
      expect(tileCapacity(total, rowsOf.length, tileRows)).toBeGreaterThanOrEqual(tiles);
    }),
  );
});

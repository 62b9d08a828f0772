/** Kernels with a workgroup per row, on more rows than one dimension of a grid has: the last are as right as the first. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import type { GpuBuffer } from '../../src/gpu/buffer.ts';
import type { CommandList } from '../../src/gpu/command-list.ts';
import { prepareRmsNorm } from '../../src/kernels/dense/rms-norm.ts';
import { prepareRope, ropeTable } from '../../src/kernels/attention/rope.ts';
import { prepareCombine } from '../../src/kernels/routing/rows.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
const owned: GpuBuffer[] = [];
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => {
  for (const buffer of owned) buffer.destroy();
  gpu.destroy();
});

function own(buffer: GpuBuffer): GpuBuffer {
  owned.push(buffer);
  return buffer;
}

/** What lies behind the rows, and must stay as it is: a grid that is spread may have a workgroup too many. */
const BEHIND = 1024;

/** Room for `count` values, and more behind them. */
const room = (count: number): GpuBuffer => own(gpu.elements('y', count + BEHIND));

async function run(y: GpuBuffer, count: number, record: (c: CommandList) => void): Promise<Float32Array> {
  gpu.write(y, new Float32Array(count + BEHIND).fill(-7));
  const commands = gpu.commands('many rows');
  record(commands);
  commands.submit();
  const all = Float32Array.from((await gpu.read(y, [count + BEHIND])).data);
  expect(all.subarray(count).findIndex((value) => value !== -7)).toBe(-1);
  return all.subarray(0, count);
}

/** Places where the results differ from what they should be, the first few. */
const wrong = (got: Float32Array, want: (i: number) => number): number[] => {
  const places: number[] = [];
  got.forEach((value, i) => {
    if (!(Math.abs(value - want(i)) <= 1e-5) && places.length < 5) places.push(i);
  });
  return places;
};

test.each([
  ['default', 70_001],
  ['rows', 4 * 70_000 + 1],
])('norm %s, %i rows', async (variant, rows) => {
  const [x, y] = [own(gpu.upload('x', pattern(rows * 4))), room(rows * 4)];
  const [weight, sum] = [own(gpu.upload('w', Float32Array.of(1, 1, 1, 1))), own(gpu.elements('sum', 4))];
  const kernel = await prepareRmsNorm(gpu, { width: 4, eps: 0, residual: false }, variant);
  const got = await run(y, rows * 4, (c) => kernel.record(c, { numRows: rows }, { x, weight, y, sum }));
  const values = pattern(rows * 4);
  const square = (row: number): number =>
    values.subarray(4 * row, 4 * row + 4).reduce((total, v) => total + v * v, 0);
  expect(wrong(got, (i) => (values[i] ?? NaN) / Math.sqrt(square(Math.floor(i / 4)) / 4))).toEqual([]);
});

test('combine, 70,001 tokens', async () => {
  const tokens = 70_001;
  const rows = own(gpu.upload('rows', pattern(tokens)));
  const slot = own(
    gpu.upload(
      'slot',
      Uint32Array.from({ length: tokens }, (_, t) => tokens - 1 - t),
    ),
  );
  const scores = own(gpu.upload('scores', new Float32Array(tokens).fill(0.5)));
  const y = room(tokens);
  const kernel = await prepareCombine(gpu, { width: 1, topK: 1, residual: false });
  const got = await run(y, tokens, (c) => kernel.record(c, tokens, { expertOut: rows, slot, scores, y }));
  const values = pattern(tokens);
  expect(wrong(got, (t) => 0.5 * (values[tokens - 1 - t] ?? NaN))).toEqual([]);
});

test('rope by four pairs, more workgroups than a dimension has', async (context) => {
  const rows = 70_001 * gpu.rowLanes - 1;
  if (4 * (rows * 8 + BEHIND) > gpu.mostBytes('whole')) context.skip('so many rows cannot be bound');
  const [x, y] = [own(gpu.upload('x', pattern(rows * 8))), room(rows * 8)];
  const table = own(gpu.upload('table', ropeTable(2, 8, 10000)));
  const position = own(
    gpu.upload(
      'position',
      Uint32Array.from({ length: rows }, (_, t) => t % 2),
    ),
  );
  const kernel = await prepareRope(gpu, { headDim: 8, interleaved: false }, 'rows');
  const p = { numRows: rows, numHeads: 1, xStride: 8, xStart: 0 };
  const got = await run(y, rows * 8, (c) => kernel.record(c, p, { x, table, position, y }));
  const values = pattern(rows * 8);
  const turned = (i: number): number => {
    const [place, pair, angle] = [i % 8, i % 4, (Math.floor(i / 8) % 2) * 10000 ** (-(i % 4) / 4)];
    const [a, b] = [values[i - place + pair] ?? NaN, values[i - place + pair + 4] ?? NaN];
    return place < 4 ? a * Math.cos(angle) - b * Math.sin(angle) : b * Math.cos(angle) + a * Math.sin(angle);
  };
  expect(wrong(got, turned)).toEqual([]);
});

/** Small whole numbers that are never 0 and repeat after a prime number of places. */
function pattern(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 1 + (i % 251) / 128);
}

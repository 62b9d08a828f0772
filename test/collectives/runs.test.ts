/** Collectives for a run of ranks, in groups of any order and size: who is outside keeps what he has. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { groupTable, shareWords, type GroupTable } from '../../src/collectives/groups.ts';
import { oneDeviceTransport } from '../../src/collectives/one-device.ts';
import { SymmetricArray } from '../../src/collectives/symmetric.ts';
import type { Recorded } from '../../src/collectives/segments.ts';
import type { Transport } from '../../src/collectives/transport.ts';
import { range } from '../../src/core/math.ts';
import type { CommandList } from '../../src/gpu/command-list.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
let transport: Transport<Recorded>;
const owned: { destroy(): void }[] = [];
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  transport = await oneDeviceTransport(gpu);
});
afterAll(() => {
  for (const thing of owned) thing.destroy();
  gpu.destroy();
});

function own<T extends { destroy(): void }>(thing: T): T {
  owned.push(thing);
  return thing;
}

/** One part per entry. */
function parts(values: readonly (readonly number[])[]): SymmetricArray {
  const array = own(new SymmetricArray(gpu, 'test', values.length, Math.max(...values.map((v) => v.length))));
  const words = new Float32Array(array.stride * values.length).fill(NaN);
  values.forEach((part, i) => words.set(part, i * array.stride));
  gpu.write(array.buffer, words);
  return array;
}

/** One part per entry, of whole numbers. */
function integers(values: readonly (readonly number[])[]): SymmetricArray {
  const array = parts(values);
  const words = new Uint32Array(array.stride * values.length);
  values.forEach((part, i) => words.set(part, i * array.stride));
  gpu.write(array.buffer, words);
  return array;
}

const groups = (members: number[][]): GroupTable => own(groupTable(gpu, 'test', members));

async function after(
  array: SymmetricArray,
  count: number,
  record: (c: CommandList) => void,
): Promise<number[][]> {
  const commands = gpu.commands('test');
  record(commands);
  commands.submit();
  const { data } = await gpu.read(array.buffer, [array.stride * array.numParts]);
  return range(array.numParts).map((i) => [...data.subarray(i * array.stride, i * array.stride + count)]);
}

test('all-gather for ranks 1 and 2 only', async () => {
  const x = parts([[1], [2], [3], [4]]);
  const y = parts(range(4).map(() => [9, 9]));
  const table = groups([
    [0, 1],
    [3, 2],
  ]);
  const got = await after(y, 2, (c) => transport.allGather(x, y, table, 1, { first: 1, count: 2 }).record(c));
  expect(got).toEqual([
    [9, 9],
    [1, 2],
    [4, 3],
    [9, 9],
  ]);
});

test('groups of unequal size: the larger has all its blocks, the smaller no more than its own', async () => {
  const table = groups([[2], [0, 1, 3]]);
  expect(table).toMatchObject({ groupSize: 3, numRanks: 4, firstMember: [0, 1] });
  const x = parts([[1], [2], [3], [4]]);
  const y = parts(range(4).map(() => [9, 9, 9]));
  expect(await after(y, 3, (c) => transport.allGather(x, y, table, 1).record(c))).toEqual([
    [1, 2, 4],
    [1, 2, 4],
    [3, 9, 9],
    [1, 2, 4],
  ]);
  const blocks = parts([
    [10, 11, 12],
    [20, 21, 22],
    [30, 31, 32],
    [40, 41, 42],
  ]);
  const turned = parts(range(4).map(() => [9, 9, 9]));
  expect(await after(turned, 3, (c) => transport.allToAll(blocks, turned, table, 1).record(c))).toEqual([
    [10, 20, 40],
    [11, 21, 41],
    [30, 9, 9],
    [12, 22, 42],
  ]);
});

test('shares of rows: a run of ranks, a group whose members are not in the order of their rows', async () => {
  const table = groups([
    [0, 1],
    [3, 2],
  ]);
  // Ranks 2 and 3 hold rows 0..1 and row 2 of three; their group names rank 3 first.
  const rows = [
    { first: 0, count: 1 },
    { first: 1, count: 1 },
    { first: 0, count: 2 },
    { first: 2, count: 1 },
  ];
  const shares = own(gpu.upload('test', shareWords(table.groups, rows)));
  const p = { groups: table, shares, ranks: { first: 2, count: 2 }, width: 1 };
  const x = parts([[5, 5, 5], [5, 5, 5], [1, 2, 3], [10, 20, 30]]); // prettier-ignore
  const half = parts(range(4).map(() => [9, 9, 9, 9]));
  expect(
    await after(half, 4, (c) => transport.reduceScatterRows(x, half, { ...p, maxRows: 3 }).record(c)),
  ).toEqual([[9, 9, 9, 9], [9, 9, 9, 9], [11, 22, 9, 9], [33, 9, 9, 9]]); // prettier-ignore
  const whole = parts(range(4).map(() => [7, 7, 7, 7]));
  expect(
    await after(whole, 4, (c) => transport.allGatherRows(half, whole, { ...p, maxRows: 4 }).record(c)),
  ).toEqual([[7, 7, 7, 7], [7, 7, 7, 7], [11, 22, 33, 7], [11, 22, 33, 7]]); // prettier-ignore
});

test('rows of experts: the second of two groups, and of its members only the last sends', async () => {
  const table = groups([
    [0, 1],
    [3, 2],
  ]);
  // 2 experts, one a member: rank 3 owns the first, rank 2 the second. Rank 2 sends a row to each.
  const exchange = {
    ...{ groups: table, group: 1, sources: { first: 1, count: 1 }, maxRows: 2, width: 1 },
    ...{ numExperts: 2, localExperts: 1 },
    start: integers([[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]]), // prettier-ignore
    // By source, in the order of the group: from rank 3 row 0, from rank 2 row 1.
    receiveStart: integers([[0, 1], [0, 1], [0, 1], [0, 1]]), // prettier-ignore
  };
  const send = parts([[1, 2], [3, 4], [5, 6], [7, 8]]); // prettier-ignore
  const receive = parts(range(4).map(() => [9, 9]));
  expect(await after(receive, 2, (c) => transport.dispatchRows(send, receive, exchange).record(c))).toEqual(
    [[9, 9], [9, 9], [9, 6], [9, 5]], // prettier-ignore
  );
  const back = parts(range(4).map(() => [0, 0]));
  expect(await after(back, 2, (c) => transport.returnRows(receive, back, exchange).record(c))).toEqual(
    [[0, 0], [0, 0], [5, 6], [0, 0]], // prettier-ignore
  );
});

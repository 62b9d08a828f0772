/** More rows, words and blocks than one dimension of a grid holds: nothing is left out. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { groupTable, shareWords } from '../../src/collectives/groups.ts';
import { oneDeviceTransport } from '../../src/collectives/one-device.ts';
import { SymmetricArray } from '../../src/collectives/symmetric.ts';
import type { Recorded } from '../../src/collectives/segments.ts';
import type { Transport } from '../../src/collectives/transport.ts';
import { at } from '../../src/core/math.ts';
import type { CommandList } from '../../src/gpu/command-list.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { prepareTopk } from '../../src/kernels/routing/gating.ts';
import { histogram, scatter } from '../../src/kernels/routing/route-plan.ts';
import { testPlatform } from '../setup/platform.ts';

const ROWS = 70_001;

let gpu: Gpu;
let transport: Transport<Recorded>;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  transport = await oneDeviceTransport(gpu);
});
afterAll(() => gpu.destroy());

function run(record: (commands: CommandList) => void): void {
  const commands = gpu.commands('test');
  record(commands);
  commands.submit();
}

/** Two parts, filled by index; `of` is undefined for an array that is written. */
function pair(room: number, of?: (rank: number, i: number) => number): SymmetricArray {
  const array = new SymmetricArray(gpu, 'grids', 2, room);
  const words = new Float32Array(2 * array.stride);
  if (of !== undefined) {
    for (const rank of [0, 1]) for (let i = 0; i < room; i++) words[rank * array.stride + i] = of(rank, i);
    gpu.write(array.buffer, words);
  }
  return array;
}

/** Indices of a part that do not hold what they should: none, and no list of thousands where all are wrong. */
async function wrong(array: SymmetricArray, rank: number, count: number, want: (i: number) => number) {
  const { data } = await gpu.read(array.part(rank), [count]);
  const found: number[] = [];
  for (let i = 0; i < count && found.length < 5; i++) if (at(data, i) !== want(i)) found.push(i);
  return found;
}

test('rows: reduce-scatter and all-gather', async () => {
  const groups = groupTable(gpu, 'grids', [[0, 1]]);
  const shares = gpu.upload(
    'shares',
    shareWords(
      [[0, 1]],
      [
        { first: 0, count: ROWS },
        { first: ROWS, count: 3 },
      ],
    ),
  );
  const x = pair(ROWS + 3, (rank, i) => (rank === 0 ? i : 1));
  const [kept, all] = [pair(ROWS), pair(ROWS + 3)];
  run((c) => transport.reduceScatterRows(x, kept, { groups, shares, maxRows: ROWS, width: 1 }).record(c));
  expect(await wrong(kept, 0, ROWS, (i) => i + 1)).toEqual([]);
  expect(await wrong(kept, 1, 3, (i) => ROWS + i + 1)).toEqual([]);
  run((c) => transport.allGatherRows(kept, all, { groups, shares, maxRows: ROWS + 3, width: 1 }).record(c));
  expect(await wrong(all, 1, ROWS + 3, (i) => i + 1)).toEqual([]);
  for (const thing of [groups, shares, x, kept, all]) thing.destroy();
});

test('rows: the exchange there and back', async () => {
  const groups = groupTable(gpu, 'grids', [[0, 1]]);
  const send = pair(ROWS, (rank, i) => (rank === 0 ? i + 1 : 0));
  const [receive, back] = [pair(ROWS), pair(ROWS)];
  const start = new SymmetricArray(gpu, 'start', 2, 3);
  const places = new SymmetricArray(gpu, 'places', 2, 2);
  // Rank 0 sends 2 rows to itself and the others to rank 1; rank 1 sends none.
  gpu.write(start.part(0), Uint32Array.of(0, 2, ROWS));
  const exchange = {
    ...{ groups, group: 0, maxRows: ROWS, width: 1, numExperts: 2, localExperts: 1 },
    ...{ start, receiveStart: places },
  };
  run((c) => transport.dispatchRows(send, receive, exchange).record(c));
  expect(await wrong(receive, 0, 2, (i) => i + 1)).toEqual([]);
  expect(await wrong(receive, 1, ROWS - 2, (i) => i + 3)).toEqual([]);
  run((c) => transport.returnRows(receive, back, exchange).record(c));
  expect(await wrong(back, 0, ROWS, (i) => i + 1)).toEqual([]);
  for (const thing of [groups, send, receive, back, start, places]) thing.destroy();
});

test('words: all-reduce, all-gather, all-to-all', async () => {
  const groups = groupTable(gpu, 'grids', [[0, 1]]);
  const words = 65_536 * 64 + 5;
  const x = pair(words, (rank, i) => (i % 1001) + rank);
  const y = pair(words);
  run((c) => transport.allReduce(x, y, groups, words).record(c));
  expect(await wrong(y, 1, words, (i) => 2 * (i % 1001) + 1)).toEqual([]);
  y.destroy();
  const both = pair(2 * words);
  run((c) => transport.allGather(x, both, groups, words).record(c));
  expect(await wrong(both, 0, 2 * words, (i) => (i < words ? i % 1001 : ((i - words) % 1001) + 1))).toEqual(
    [],
  );
  const swapped = pair(2 * words);
  run((c) => transport.allToAll(both, swapped, groups, words).record(c));
  expect(await wrong(swapped, 1, 2 * words, (i) => ((i % words) % 1001) + 1)).toEqual([]);
  for (const thing of [groups, x, both, swapped]) thing.destroy();
});

test('choices: histogram and scatter over more blocks than a dimension holds', async () => {
  const [block, numExperts, topK] = [64, 2, 1];
  const numBlocks = 65_600;
  const numChoices = numBlocks * block - 7;
  const ids = new Uint32Array(numChoices).map((_, i) => i % 2);
  // Of each full block 32 choices go to either expert.
  const starts = new Uint32Array(numBlocks * numExperts).map((_, i) =>
    i % 2 === 0 ? 32 * (i / 2) : Math.ceil(numChoices / 2) + 32 * ((i - 1) / 2),
  );
  const spec = { BLOCK: block, WG: 64, MAX_EXPERTS: 64 };
  const t = {
    ids: gpu.upload('ids', ids),
    counts: gpu.elements('counts', numBlocks * numExperts, 'u32'),
    starts: gpu.upload('starts', starts),
    slot: gpu.elements('slot', numChoices, 'u32'),
    rowToken: gpu.elements('row token', numChoices, 'u32'),
  };
  const [count, place] = await Promise.all([gpu.kernel(histogram, spec), gpu.kernel(scatter, spec)]);
  run((c) => {
    c.dispatch(count, { numChoices, numExperts }, { ids_TK: t.ids, blockCount_BE: t.counts });
    const places = { ids_TK: t.ids, blockStart_BE: t.starts, slot_TK: t.slot, rowToken_R: t.rowToken };
    c.dispatch(place, { numChoices, numExperts, topK }, places);
  });
  const { data: counts } = await gpu.read(t.counts, [numBlocks * numExperts], 'u32');
  expect(counts.findIndex((n, i) => n !== (i < 2 * numBlocks - 2 ? 32 : i % 2 === 0 ? 29 : 28))).toBe(-1);
  const { data: slot } = await gpu.read(t.slot, [numChoices], 'u32');
  const wanted = (i: number): number => Math.floor(i / 2) + (i % 2) * Math.ceil(numChoices / 2);
  expect(slot.findIndex((row, i) => row !== wanted(i))).toBe(-1);
  for (const buffer of Object.values(t)) buffer.destroy();
});

test('tokens: a thread each, more workgroups than a dimension holds', async () => {
  // One expert: all choose it, with a weight of 1.
  const numTokens = 65_536 * gpu.rowLanes + 3;
  const kernel = await prepareTopk(
    gpu,
    { numExperts: 1, topK: 1, score: 'softmax', renormalize: false },
    'thread',
  );
  const logits = gpu.elements('logits', numTokens);
  const ids = gpu.upload('ids', new Uint32Array(numTokens).fill(9));
  const scores = gpu.elements('scores', numTokens);
  run((c) => kernel.record(c, numTokens, { logits, ids, scores }));
  const { data } = await gpu.read(scores, [numTokens]);
  expect(data.findIndex((score) => score !== 1)).toBe(-1);
  for (const buffer of [logits, ids, scores]) buffer.destroy();
});

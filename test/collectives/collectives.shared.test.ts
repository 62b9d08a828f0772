/** Collectives by hand-worked examples, and the all-to-all(v) against the plan made on the CPU. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { groupTable, groupWords, shareWords, type GroupTable } from '../../src/collectives/groups.ts';
import { oneDeviceTransport } from '../../src/collectives/one-device.ts';
import { SymmetricArray } from '../../src/collectives/symmetric.ts';
import type { Recorded } from '../../src/collectives/segments.ts';
import type { Transport } from '../../src/collectives/transport.ts';
import { at, balancedRun, range } from '../../src/core/math.ts';
import type { CommandList } from '../../src/gpu/command-list.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { prepareReceivePlan, prepareRoutePlan } from '../../src/kernels/routing/route-plan.ts';
import { arrivalsAt, planDispatch } from '../../src/routing/dispatch-plan.ts';
import { testPlatform } from '../setup/platform.ts';

let gpu: Gpu;
let transport: Transport<Recorded>;
const owned: { destroy(): void }[] = [];

beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  transport = await oneDeviceTransport(gpu);
});
afterAll(() => {
  for (const thing of owned) thing.destroy();
  expect(gpu.ledger.bytes).toBe(0);
});

function own<T extends { destroy(): void }>(thing: T): T {
  owned.push(thing);
  return thing;
}

/** A symmetric array with one part per entry; the rest of each part is NaN, so that reading too far shows. */
function symmetric(
  parts: readonly (readonly number[])[],
  room = Math.max(...parts.map((p) => p.length)),
): SymmetricArray {
  const array = own(new SymmetricArray(gpu, 'test', parts.length, room));
  const words = new Float32Array(array.stride * parts.length).fill(NaN);
  parts.forEach((part, i) => words.set(part, i * array.stride));
  gpu.write(array.buffer, words);
  return array;
}

const groups = (members: number[][]): GroupTable => own(groupTable(gpu, 'test', members));

async function read(array: SymmetricArray, count: number, dtype: 'f32' | 'u32' = 'f32'): Promise<number[][]> {
  const { data } = await gpu.read(array.buffer, [array.stride * array.numParts], dtype);
  return range(array.numParts).map((i) => [...data.subarray(i * array.stride, i * array.stride + count)]);
}

function run(record: (commands: CommandList) => void): void {
  const commands = gpu.commands('test');
  record(commands);
  commands.submit();
}

test('groupWords: the example in its comment', () => {
  const { members, ofRank, firstMember } = groupWords([
    [0, 1],
    [2, 3],
  ]);
  expect([...members]).toEqual([0, 1, 2, 3]);
  expect([...ofRank.subarray(12)]).toEqual([2, 2, 1, 0]);
  expect(firstMember).toEqual([0, 2]);
});

describe('one device', () => {
  test('all-reduce sums over a group and leaves other groups alone', async () => {
    const x = symmetric([
      [1, 2],
      [10, 20],
      [100, 200],
      [5, 6],
    ]);
    const y = symmetric([
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    run((c) =>
      transport
        .allReduce(
          x,
          y,
          groups([
            [0, 2],
            [1, 3],
          ]),
          2,
        )
        .record(c),
    );
    expect(await read(y, 2)).toEqual([
      [101, 202],
      [15, 26],
      [101, 202],
      [15, 26],
    ]);
  });

  test('all-gather lays blocks in the order of the group', async () => {
    const x = symmetric([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    const y = symmetric([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
      [7, 7, 7, 7],
    ]);
    run((c) => transport.allGather(x, y, groups([[1, 0], [2]]), 2).record(c));
    expect(await read(y, 4)).toEqual([
      [3, 4, 1, 2],
      [3, 4, 1, 2],
      [5, 6, 7, 7],
    ]);
  });

  test('all-to-all is a transposition of blocks', async () => {
    const x = symmetric([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
    const y = symmetric([
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    run((c) => transport.allToAll(x, y, groups([[0, 1, 2]]), 1).record(c));
    expect(await read(y, 3)).toEqual([
      [1, 4, 7],
      [2, 5, 8],
      [3, 6, 9],
    ]);
  });

  test('reduce-scatter gives each rank its share of summed rows; all-gather brings them together again', async () => {
    const table = groups([[0, 1], [2]]);
    const x = symmetric(
      [
        [1, 1, 2, 2, 3, 3],
        [10, 10, 20, 20, 30, 30],
        [7, 8],
      ],
      6,
    );
    const half = symmetric([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    const whole = symmetric([
      [0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0],
    ]);
    const rows = [
      { first: 0, count: 2 },
      { first: 2, count: 1 },
      { first: 0, count: 1 },
    ];
    const shares = own(gpu.upload('test', shareWords(table.groups, rows)));
    run((c) => {
      transport.reduceScatterRows(x, half, { groups: table, shares, maxRows: 2, width: 2 }).record(c);
      transport.allGatherRows(half, whole, { groups: table, shares, maxRows: 3, width: 2 }).record(c);
    });
    expect(await read(half, 4)).toEqual([
      [11, 11, 22, 22],
      [33, 33, 0, 0],
      [7, 8, 0, 0],
    ]);
    expect(await read(whole, 6)).toEqual([
      [11, 11, 22, 22, 33, 33],
      [11, 11, 22, 22, 33, 33],
      [7, 8, 0, 0, 0, 0],
    ]);
  });

  test('send/receive copies rows to the successor', async () => {
    const x = symmetric([[1, 2, 3]]);
    const y = symmetric([[0, 0, 9]]);
    run((c) => transport.sendReceive([{ from: x.part(0), to: y.part(0), bytes: 8 }]).record(c));
    expect(await read(y, 3)).toEqual([[1, 2, 9]]);
  });
});

/** Routes ids through plan, exchange and back, and compares every row with the plan made on the CPU. */
async function expectExchange(
  ids: readonly (readonly number[])[],
  numExperts: number,
  topK: number,
): Promise<void> {
  const ep = ids.length;
  const localExperts = numExperts / ep;
  const width = 3;
  const owners = range(ep).map((e) => range(localExperts).map((i) => e * localExperts + i));
  const plan = planDispatch(
    ids.map((list) => Uint32Array.from(list)),
    owners,
  );
  const table = groups([range(ep)]);
  const most = Math.max(1, ...ids.map((list) => list.length));
  const total = Math.max(1, ids.flat().length);
  const none = (words: number): SymmetricArray =>
    symmetric(
      range(ep).map(() => [NaN]),
      words,
    );
  const send = symmetric(
    plan.sends.map((s, source) => range(s.numRows * width).map((i) => source * 1000 + i)),
    most * width,
  );
  const [receive, returned, start, starts, receiveStart] = [
    none(total * width),
    none(most * width),
    none(numExperts + 1),
    none(ep * (numExperts + 1)),
    none(localExperts * ep),
  ];
  const route = await prepareRoutePlan(gpu, { numExperts, topK, allowSmall: false });
  const receivePlan = await prepareReceivePlan(gpu, { numSources: ep, numExperts, localExperts });
  const scratch = own(gpu.elements('test', numExperts * Math.ceil(most / 256)));
  run((commands) => {
    ids.forEach((list, rank) => {
      route.record(commands, list.length / topK, {
        ids: own(gpu.upload('test', Uint32Array.from(list.length > 0 ? list : [0]))),
        start: start.part(rank),
        slot: own(gpu.elements('test', most)),
        rowToken: own(gpu.elements('test', most)),
        scratch,
      });
    });
    transport.allGather(start, starts, table, numExperts + 1).record(commands);
    range(ep).forEach((rank) => {
      receivePlan.record(
        commands,
        {
          firstExpert: rank * localExperts,
          tileRows: 4,
          tileCapacity: total + localExperts,
          columnGroups: 1,
          downColumnGroups: 1,
        },
        {
          starts: starts.part(rank),
          receiveStart: receiveStart.part(rank),
          tiles: own(gpu.elements('test', 4 * (total + localExperts))),
          grid: own(gpu.elements('test', 8)),
        },
      );
    });
    const exchange = {
      groups: table,
      group: 0,
      maxRows: most,
      width,
      numExperts,
      localExperts,
      start,
      receiveStart,
    };
    transport.dispatchRows(send, receive, exchange).record(commands);
    transport.returnRows(receive, returned, exchange).record(commands);
  });
  const got = await read(receive, total * width);
  plan.receives.forEach(({ blocks, numRows }, rank) => {
    const want = new Float32Array(numRows * width);
    for (const { source, sendStart, recvStart, count } of blocks) {
      for (const i of range(count * width))
        want[recvStart * width + i] = source * 1000 + sendStart * width + i;
    }
    expect(at(got, rank).slice(0, numRows * width), `rows that rank ${rank} receives`).toEqual([...want]);
    expect(arrivalsAt(plan, rank)).toHaveLength(numRows);
  });
  const back = await read(returned, most * width);
  plan.sends.forEach((s, source) => {
    expect(at(back, source).slice(0, s.numRows * width), `rows that come back to ${source}`).toEqual(
      range(s.numRows * width).map((i) => source * 1000 + i),
    );
  });
}

describe('all-to-all(v) of rows', () => {
  test.each([
    [
      'two ranks, two experts each',
      [
        [2, 0, 2, 1],
        [3, 3],
      ],
      4,
      2,
    ],
    ['all to one expert', [[1, 1], [1, 1], [1]], 3, 1],
    ['a source without tokens', [[], [0, 1]], 2, 2],
    ['one rank', [[0, 1, 2]], 3, 1],
  ] as const)('%s', (_name, ids, numExperts, topK) => expectExchange(ids, numExperts, topK));

  test('any routing equals the plan made on the CPU', async () => {
    const routing = fc
      .record({ ep: fc.integer({ min: 1, max: 5 }), local: fc.integer({ min: 1, max: 4 }) })
      .chain(({ ep, local }) =>
        fc.record({
          numExperts: fc.constant(ep * local),
          ids: fc.array(fc.array(fc.nat(ep * local - 1), { maxLength: 40 }), {
            minLength: ep,
            maxLength: ep,
          }),
        }),
      );
    await fc.assert(
      fc.asyncProperty(routing, ({ ids, numExperts }) => expectExchange(ids, numExperts, 1)),
      { numRuns: 15, seed: 3 },
    );
  });

  test('shares cover all rows', () => {
    const words = shareWords(
      [[0, 1, 2]],
      range(3).map((i) => {
        const [first, count] = balancedRun(7, 3, i);
        return { first, count };
      }),
    );
    expect([...words]).toEqual([0, 3, 0, 3, 0, 3, 3, 2, 0, 3, 5, 2]);
  });
});

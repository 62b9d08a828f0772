/**
 * A transport that must be waited for: it reads what ranks hold, moves rows on the host and writes them back, as one
 * between processes would. Only the verbs of an engine.
 */
import type { Segment } from '../../src/collectives/segments.ts';
import type { SymmetricArray } from '../../src/collectives/symmetric.ts';
import type { RowExchange, RowShares, Transport } from '../../src/collectives/transport.ts';
import { at, range } from '../../src/core/math.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';

export interface HostTransport extends Transport {
  /** Verbs that have run. */
  readonly calls: string[];
}

/** @param before runs before each verb moves anything. */
export function hostTransport(
  gpu: Gpu,
  before: () => Promise<void> = () => Promise.resolve(),
): HostTransport {
  const calls: string[] = [];
  const words = async (array: SymmetricArray): Promise<Uint32Array> =>
    (await gpu.read(array.buffer, [array.stride * array.numParts], 'u32')).data as Uint32Array;
  const awaited = (name: string, work: () => Promise<void>): Segment => ({
    run: async () => {
      calls.push(name);
      await before();
      await work();
    },
  });
  /** Changes what `y` holds, given what `x` holds. */
  const change = async (
    x: SymmetricArray,
    y: SymmetricArray,
    move: (from: Uint32Array, to: Uint32Array) => void,
  ): Promise<void> => {
    const to = Uint32Array.from(await words(y));
    move(await words(x), to);
    gpu.write(y.buffer, to);
  };
  const ranksOf = ({ ranks, groups }: RowShares): number[] =>
    range(ranks?.count ?? groups.numRanks).map((i) => (ranks?.first ?? 0) + i);
  const runsOf = async ({ shares, groups }: RowShares): Promise<{ first: number; count: number }[]> => {
    const { data } = await gpu.read(shares, [4 * groups.numRanks], 'u32');
    return range(groups.numRanks).map((r) => ({ first: at(data, 4 * r + 2), count: at(data, 4 * r + 3) }));
  };
  const groupOf = (groups: readonly (readonly number[])[], rank: number): readonly number[] =>
    groups.find((members) => members.includes(rank)) ?? [];

  /** Calls `copy` with the places of every row in a part of send and in a part of receive. */
  const eachRow = async (
    p: RowExchange,
    copy: (source: number, row: number, owner: number, received: number) => void,
  ): Promise<void> => {
    const ranks = at(p.groups.groups, p.group);
    const [starts, places] = [await words(p.start), await words(p.receiveStart)];
    for (const member of range(p.sources?.count ?? ranks.length).map((i) => i + (p.sources?.first ?? 0))) {
      const source = at(ranks, member);
      for (const expert of range(p.numExperts)) {
        const from = source * p.start.stride + expert;
        const owner = at(ranks, Math.floor(expert / p.localExperts));
        const place = (expert % p.localExperts) * ranks.length + member;
        const received = at(places, owner * p.receiveStart.stride + place);
        for (let i = 0; i < at(starts, from + 1) - at(starts, from); i++) {
          copy(source, at(starts, from) + i, owner, received + i);
        }
      }
    }
  };
  const missing = (): never => {
    throw new Error('not a verb of an engine');
  };

  return {
    name: 'by way of the host',
    calls,
    allReduce: missing,
    allToAll: missing,
    reduceScatterRows: (x, y, p) =>
      awaited('reduceScatterRows', async () => {
        const runs = await runsOf(p);
        await change(x, y, (from, to) => {
          const [terms, sums] = [new Float32Array(from.buffer), new Float32Array(to.buffer)];
          for (const rank of ranksOf(p)) {
            const { first, count } = at(runs, rank);
            for (const i of range(count * p.width)) {
              const of = (member: number) => at(terms, member * x.stride + first * p.width + i);
              // In f32, in the members' order.
              sums[rank * y.stride + i] = groupOf(p.groups.groups, rank).reduce(
                (total, member) => Math.fround(total + of(member)),
                0,
              );
            }
          }
        });
      }),
    allGatherRows: (x, y, p) =>
      awaited('allGatherRows', async () => {
        const runs = await runsOf(p);
        await change(x, y, (from, to) => {
          for (const rank of ranksOf(p)) {
            for (const member of groupOf(p.groups.groups, rank)) {
              const { first, count } = at(runs, member);
              const begin = member * x.stride;
              to.set(from.subarray(begin, begin + count * p.width), rank * y.stride + first * p.width);
            }
          }
        });
      }),
    allGather: (x, y, groups, count, ranks = { first: 0, count: groups.numRanks }) =>
      awaited('allGather', () =>
        change(x, y, (from, to) => {
          for (const rank of range(ranks.count).map((i) => ranks.first + i)) {
            groupOf(groups.groups, rank).forEach((member, i) => {
              const begin = member * x.stride;
              to.set(from.subarray(begin, begin + count), rank * y.stride + i * count);
            });
          }
        }),
      ),
    dispatchRows: (send, receive, p) =>
      awaited('dispatchRows', async () => {
        const moves: (readonly [to: number, from: number])[] = [];
        await eachRow(p, (source, row, owner, received) =>
          moves.push([owner * receive.stride + received * p.width, source * send.stride + row * p.width]),
        );
        await change(send, receive, (from, to) => {
          for (const [target, begin] of moves) to.set(from.subarray(begin, begin + p.width), target);
        });
      }),
    returnRows: (receive, send, p) =>
      awaited('returnRows', async () => {
        const moves: (readonly [to: number, from: number])[] = [];
        await eachRow(p, (source, row, owner, received) =>
          moves.push([source * send.stride + row * p.width, owner * receive.stride + received * p.width]),
        );
        await change(receive, send, (from, to) => {
          for (const [target, begin] of moves) to.set(from.subarray(begin, begin + p.width), target);
        });
      }),
    sendReceive: (moves) =>
      awaited('sendReceive', async () => {
        for (const { from, to, bytes } of moves) {
          if (bytes === 0) continue;
          const { data } = await gpu.read(from, [bytes / 4], 'u32');
          gpu.write(to, data);
        }
      }),
  };
}

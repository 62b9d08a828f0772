/**
 * The collectives on groups and shares of several sizes, on whole numbers, whose sums are exact in any order. All of
 * what they write to is compared, a part that no rank has included: what is not theirs stays 0.
 */
import { type GroupTable, shareWords } from '../../collectives/groups.ts';
import { oneDeviceTransport } from '../../collectives/one-device.ts';
import type { Recorded } from '../../collectives/segments.ts';
import type { SymmetricArray } from '../../collectives/symmetric.ts';
import type { RowExchange, RowShares, Transport } from '../../collectives/transport.ts';
import { at, maxOf, range } from '../../core/math.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { OpBuffers } from '../../ops/op-buffers.ts';
import type { Maker } from '../draw/maker.ts';
import type { Internal, InternalCase } from './internal-case.ts';

const GROUPS: readonly (readonly number[])[] = [[4, 0, 2], [1, 5], [3]];
const RANKS = 6;
/** Words of a part: whole bindings of every adapter, so that parts follow one another. */
const ROOM = 192;
const WIDTH = 5;

/** Of each rank: the first of its group's rows that it holds, and how many. */
const SHARES = [
  { first: 4, count: 0 },
  { first: 0, count: 1 },
  { first: 4, count: 3 },
  { first: 0, count: 2 },
  { first: 0, count: 4 },
  { first: 1, count: 6 },
] as const;

/** Rank 0 sends 2 rows to itself and 3 to rank 1, which sends one to rank 0; each of both owns an expert. */
const SENT = [
  { from: 0, row: 0, to: 0, place: 0 },
  { from: 0, row: 1, to: 0, place: 1 },
  { from: 0, row: 2, to: 1, place: 0 },
  { from: 0, row: 3, to: 1, place: 1 },
  { from: 0, row: 4, to: 1, place: 2 },
  { from: 1, row: 0, to: 0, place: 2 },
] as const;
const STARTS = [
  [0, 2, 5],
  [0, 1, 1],
] as const;
const PLACES = [
  [0, 2],
  [0, 3],
] as const;

/** A word of x or y: element i of a rank's part. */
type Read = (rank: number, i: number) => number;
type Write = (rank: number, i: number, value: number) => void;

interface Prepared {
  readonly transport: Transport<Recorded>;
  readonly space: OpBuffers;
  readonly x: SymmetricArray;
  readonly y: SymmetricArray;
}

interface Verb {
  readonly groups: readonly (readonly number[])[];
  readonly expected: (x: Read, y: Write) => void;
  readonly segment: (p: Prepared, groups: GroupTable, fill: Fill) => Recorded;
}

/** An array whose parts hold these words when the verb begins. */
type Fill = (name: string, parts: readonly (readonly number[])[]) => SymmetricArray;

function collective(make: Maker, verb: Verb): Internal {
  const x = make.whole([RANKS, ROOM], 1000);
  const wanted = new Float64Array((RANKS + 1) * ROOM);
  verb.expected(
    (rank, i) => at(x.data, rank * ROOM + i),
    (rank, i, value) => (wanted[rank * ROOM + i] = value),
  );
  return {
    expected: { y: { values: wanted, shape: [RANKS + 1, ROOM] } },
    bytes: 8 * RANKS * ROOM,
    prepare: async (space) => {
      const [given, out] = [space.activation('given', x), space.output('y', [RANKS + 1, ROOM], 'f32')];
      const p: Prepared = {
        ...{ transport: await oneDeviceTransport(space.gpu), space },
        ...{ x: space.symmetric('x', RANKS, ROOM), y: space.symmetric('parts of y', RANKS + 1, ROOM) },
      };
      const fills: ((commands: CommandList) => void)[] = [];
      const fill: Fill = (name, parts) => {
        const array = space.symmetric(name, parts.length, maxOf(parts.map((part) => part.length)));
        parts.forEach((part, i) => {
          const words = space.integers(`${name} ${i}`, Uint32Array.from(part));
          fills.push((commands) => commands.copy(words, array.part(i), 4 * part.length));
        });
        return array;
      };
      const segment = verb.segment(p, space.groups('groups', verb.groups), fill);
      return (commands) => {
        commands.copy(given, p.x.buffer, 4 * RANKS * ROOM);
        commands.clear(p.y.buffer);
        for (const record of fills) record(commands);
        segment.record(commands);
        commands.copy(p.y.buffer, out, 4 * (RANKS + 1) * ROOM);
      };
    },
  };
}

/** A verb that takes so many words of each member, all groups at once. */
const ofWords = (
  verb: 'allReduce' | 'allGather' | 'allToAll',
  count: number,
  value: (x: Read, members: readonly number[], own: number, i: number) => number,
  words: (members: readonly number[]) => number,
): InternalCase => {
  const expected: Verb['expected'] = (x, y) => {
    for (const members of GROUPS) {
      for (const [own, rank] of members.entries()) {
        for (const i of range(words(members))) y(rank, i, value(x, members, own, i));
      }
    }
  };
  return (make) =>
    collective(make, {
      ...{ groups: GROUPS, expected },
      segment: ({ transport, x, y }, groups) => transport[verb](x, y, groups, count),
    });
};

const ofRows = (
  verb: 'reduceScatterRows' | 'allGatherRows',
  maxRows: number,
  expected: Verb['expected'],
): InternalCase => {
  return (make) =>
    collective(make, {
      ...{ groups: GROUPS, expected },
      segment: ({ transport, space, x, y }, groups) => {
        const shares = space.integers('shares', shareWords(GROUPS, SHARES));
        const p: RowShares = { groups, shares, maxRows, width: WIDTH };
        return transport[verb](x, y, p);
      },
    });
};

const exchange = (verb: 'dispatchRows' | 'returnRows'): InternalCase => {
  const isBack = verb === 'returnRows';
  return (make) =>
    collective(make, {
      groups: [[0, 1]],
      expected: (x, y) => {
        for (const { from, row, to, place } of SENT) {
          for (const d of range(WIDTH)) {
            if (isBack) y(from, row * WIDTH + d, x(to, place * WIDTH + d));
            else y(to, place * WIDTH + d, x(from, row * WIDTH + d));
          }
        }
      },
      segment: ({ transport, x, y }, groups, fill) => {
        const p: RowExchange = {
          ...{ groups, group: 0, maxRows: 5, width: WIDTH, numExperts: 2, localExperts: 1 },
          ...{ start: fill('start', STARTS), receiveStart: fill('receive start', PLACES) },
        };
        return transport[verb](x, y, p);
      },
    });
};

const EACH = 50;

export const collectiveCases: Readonly<Record<string, InternalCase>> = {
  'all-reduce in groups of three sizes': ofWords(
    'allReduce',
    EACH,
    (x, members, _own, i) => members.reduce((total, member) => total + x(member, i), 0),
    () => EACH,
  ),
  'all-gather in groups of three sizes': ofWords(
    'allGather',
    EACH,
    (x, members, _own, i) => x(at(members, Math.floor(i / EACH)), i % EACH),
    (members) => EACH * members.length,
  ),
  'all-to-all in groups of three sizes': ofWords(
    'allToAll',
    EACH,
    (x, members, own, i) => x(at(members, Math.floor(i / EACH)), own * EACH + (i % EACH)),
    (members) => EACH * members.length,
  ),
  'reduce-scatter of uneven shares': ofRows('reduceScatterRows', 6, (x, y) => {
    for (const members of GROUPS) {
      for (const rank of members) {
        const { first, count } = at(SHARES, rank);
        for (const i of range(count * WIDTH)) {
          const sum = members.reduce((total, member) => total + x(member, first * WIDTH + i), 0);
          y(rank, i, sum);
        }
      }
    }
  }),
  'all-gather of uneven shares': ofRows('allGatherRows', 7, (x, y) => {
    for (const members of GROUPS) {
      for (const member of members) {
        const { first, count } = at(SHARES, member);
        for (const i of range(count * WIDTH))
          for (const rank of members) y(rank, first * WIDTH + i, x(member, i));
      }
    }
  }),
  'exchange of rows to their owners': exchange('dispatchRows'),
  'exchange of rows back from their owners': exchange('returnRows'),
};

/** The route plan and the receive plan against their definitions. T tokens, K choices, E experts, S sources. */
import { at, maxOf, range, roundUp, sum } from '../../core/math.ts';
import { prepareLocalPlan } from '../../kernels/routing/local-plan.ts';
import { planScratchWords, tileCapacity } from '../../core/plan-sizes.ts';
import { prepareReceivePlan, prepareRoutePlan } from '../../kernels/routing/route-plan.ts';
import { DROPPED, entryOfRow, planReceive, planSend, tilesOf } from '../../routing/dispatch-plan.ts';
import type { OpBuffers } from '../../ops/op-buffers.ts';
import type { Maker } from '../draw/maker.ts';
import type { Internal, InternalCase } from './internal-case.ts';

interface RouteSizes {
  readonly tokens: number;
  readonly topK: number;
  readonly experts: number;
  /** False: always histogram, scan and scatter. */
  readonly allowSmall?: boolean;
  /** The id of one choice; DROPPED when it was dropped. */
  readonly id?: (make: Maker) => number;
}

function route(make: Maker, sizes: RouteSizes): Internal & { readonly ids: Uint32Array } {
  const { tokens, topK, experts, allowSmall = true, id = (m) => m.random.integer(experts) } = sizes;
  const ids = Uint32Array.from({ length: tokens * topK }, () => id(make));
  const plan = planSend(ids, experts);
  const start = [...plan.start_E, plan.numRows];
  const rowToken = entryOfRow(plan).map((entry) => Math.floor(entry / topK));
  return {
    ids,
    expected: {
      start: { values: start, shape: [experts + 1] },
      slot: { values: plan.slot_TK, shape: [tokens, topK] },
      rowToken: { values: rowToken, shape: [rowToken.length] },
    },
    bytes: 4 * (3 * ids.length + experts),
    prepare: async (space) => {
      const kernels = await prepareRoutePlan(space.gpu, { numExperts: experts, topK, allowSmall });
      const t = planTensors(space, sizes, ids, rowToken.length);
      return (commands) => kernels.record(commands, tokens, t);
    },
  };
}

/** The plan of a rank that owns all experts: what `route` expects, and tiles of the sorted rows. */
function local(make: Maker, sizes: RouteSizes & { readonly tileRows: number }): Internal {
  const { tokens, topK, experts, tileRows, allowSmall = true } = sizes;
  const places = route(make, sizes);
  const starts = Array.from(places.expected['start']?.values ?? []);
  const rowsOf = range(experts).map((e) => at(starts, e + 1) - at(starts, e));
  const whole = { experts, first: 0, local: experts, tileRows, counts: [rowsOf] };
  const { tiles, rows } = at(plannedReceive(whole).ofLists, 0);
  const capacity = tileCapacity(tokens * topK, experts, tileRows);
  const [columnGroups, downColumnGroups] = [5, 3];
  const unused = range(capacity - tiles.length).flatMap(() => [0, 0, 0, 0]);
  const grids = [columnGroups, downColumnGroups].flatMap((x) => [x, tiles.length, 1, rows]);
  return {
    expected: {
      ...places.expected,
      tiles: { values: [...tiles.flat(), ...unused], shape: [capacity, 4] },
      grids: { values: grids, shape: [2, 4] },
    },
    bytes: places.bytes + 16 * capacity,
    prepare: async (space) => {
      const plan = await prepareLocalPlan(space.gpu, { numExperts: experts, topK, allowSmall });
      const t = {
        ...planTensors(space, sizes, places.ids, rows),
        tiles: space.output('tiles', [capacity, 4], 'u32'),
        grid: space.output('grids', [2, 4], 'u32'),
      };
      const tiling = { tileRows, tileCapacity: capacity, columnGroups, downColumnGroups };
      return (commands) => plan.record(commands, tokens, tiling, t);
    },
  };
}

function planTensors(
  space: OpBuffers,
  { tokens, topK, experts }: RouteSizes,
  ids: Uint32Array,
  rows: number,
) {
  return {
    ids: space.integers('ids', ids),
    start: space.output('start', [experts + 1], 'u32'),
    slot: space.output('slot', [tokens, topK], 'u32'),
    rowToken: space.output('rowToken', [rows], 'u32'),
    scratch: space.scratch('scratch', planScratchWords(ids.length, experts)),
  };
}

interface ReceiveSizes {
  readonly experts: number;
  readonly first: number;
  readonly local: number;
  /** Ranks with one list of tiles, and how many lists; 1 by default. */
  readonly owners?: number;
  readonly lists?: number;
  readonly rowStride?: number;
  readonly tileRows: number;
  /** Rows of each source for each expert of the layer. */
  readonly counts: readonly (readonly number[])[];
}

/** On each owner places by (local expert, source); per list tiles of at most `tileRows` rows of one expert. */
function plannedReceive(sizes: ReceiveSizes) {
  const { experts, first, local, owners = 1, lists = 1, rowStride = 0, tileRows, counts } = sizes;
  const sends = counts.map((c) =>
    planSend(
      c.flatMap((n, expert) => Array<number>(n).fill(expert)),
      experts,
    ),
  );
  const plans = range(lists * owners).map((rank) =>
    planReceive(
      sends,
      range(local).map((i) => first + rank * local + i),
    ),
  );
  const ofLists = range(lists).map((list) => {
    const ofList = plans.slice(list * owners, (list + 1) * owners);
    const tiles = ofList.flatMap((plan, owner) =>
      tilesOf(plan, tileRows).map((tile) => {
        const [from, to] = [owner * rowStride + tile.first, owner * rowStride + tile.end];
        return [owner * local + tile.localExpert, from, to, 0];
      }),
    );
    return { tiles, rows: sum(ofList.map(({ numRows }) => numRows)) };
  });
  return { receiveStart: plans.flatMap(({ blocks }) => blocks.map((block) => block.recvStart)), ofLists };
}

function receive(sizes: ReceiveSizes): Internal {
  const { experts, first, local, owners = 1, lists = 1, rowStride = 0, tileRows, counts } = sizes;
  const { receiveStart, ofLists } = plannedReceive(sizes);
  const most = maxOf(ofLists.map(({ rows }) => rows));
  const capacity = roundUp(tileCapacity(most, owners * local, tileRows), owners);
  const [columnGroups, downColumnGroups] = [5, 3];
  const numRanks = owners * lists;
  const ofRank = counts.flatMap((c) => range(experts + 1).map((e) => sum(c.slice(0, e))));
  const starts = range(numRanks).flatMap(() => ofRank);
  const grids = ofLists.flatMap(({ tiles, rows }) =>
    [columnGroups, downColumnGroups].flatMap((x) => [x, tiles.length, 1, rows]),
  );
  const listed = ofLists.flatMap(({ tiles }) => [
    ...tiles.flat(),
    ...range(capacity - tiles.length).flatMap(() => [0, 0, 0, 0]),
  ]);
  return {
    expected: {
      receiveStart: { values: receiveStart, shape: [numRanks, local, counts.length] },
      tiles: { values: listed, shape: [lists, capacity, 4] },
      grids: { values: grids, shape: [lists, 2, 4] },
    },
    bytes: 4 * (starts.length + receiveStart.length + 4 * capacity * lists),
    prepare: async (space) => {
      const plan = await prepareReceivePlan(space.gpu, {
        numSources: counts.length,
        numExperts: experts,
        localExperts: local,
        numOwners: owners,
      });
      const t = {
        starts: space.integers('starts', Uint32Array.from(starts)),
        receiveStart: space.output('receiveStart', [numRanks, local, counts.length], 'u32'),
        tiles: space.output('tiles', [lists, capacity, 4], 'u32'),
        grid: space.output('grids', [lists, 2, 4], 'u32'),
      };
      // A list and its grids are taken from the first owner on: strides are those of a rank.
      const group = {
        ...{ members: space.integers('members', Uint32Array.from(range(numRanks))), firstMember: 0 },
        ...{ numLists: lists, rowStride, startsStride: ofRank.length, placeStride: local * counts.length },
        ...{ tilesStride: (4 * capacity) / owners, gridStride: 8 / owners },
      };
      const p = { firstExpert: first, tileRows, tileCapacity: capacity, columnGroups, downColumnGroups };
      return (commands) => plan.record(commands, p, t, numRanks === 1 ? undefined : group);
    },
  };
}

const counts = (make: Maker, sources: number, experts: number, most: number): number[][] =>
  range(sources).map(() => range(experts).map(() => make.random.integer(most + 1)));

/** Dropped choices with as many experts as there are counters: one counted by mistake is one of the last expert. */
const AS_COUNTERS = {
  ...{ topK: 2, experts: 64 },
  id: (make: Maker) => (make.random.integer(4) === 0 ? DROPPED : make.random.integer(64)),
};

export const planCases: Readonly<Record<string, InternalCase>> = {
  'route plan': (make) => route(make, { tokens: 40, topK: 3, experts: 7 }),
  'route plan, three dispatches for few choices': (make) =>
    route(make, { tokens: 40, topK: 3, experts: 7, allowSmall: false }),
  'route plan, the most that one dispatch takes': (make) =>
    route(make, { tokens: 512, topK: 2, experts: 16 }),
  'route plan, one choice more': (make) => route(make, { tokens: 1025, topK: 1, experts: 16 }),
  'route plan, 300 experts': (make) => route(make, { tokens: 701, topK: 2, experts: 300 }),
  'route plan, one expert': (make) => route(make, { tokens: 300, topK: 1, experts: 1, allowSmall: false }),
  'route plan, all to the last expert': (make) =>
    route(make, { tokens: 2600, topK: 1, experts: 9, id: () => 8 }),
  'route plan, dropped choices': (make) => route(make, { ...AS_COUNTERS, tokens: 200 }),
  'route plan, dropped choices, three dispatches': (make) => route(make, { ...AS_COUNTERS, tokens: 1400 }),
  'route plan, no tokens': (make) => route(make, { tokens: 0, topK: 2, experts: 5 }),
  'local plan': (make) => local(make, { tokens: 40, topK: 3, experts: 7, tileRows: 8 }),
  'local plan, one token': (make) => local(make, { tokens: 1, topK: 2, experts: 16, tileRows: 2 }),
  'local plan, no tokens': (make) => local(make, { tokens: 0, topK: 2, experts: 5, tileRows: 8 }),
  'local plan, three dispatches': (make) =>
    local(make, { tokens: 700, topK: 3, experts: 7, tileRows: 16, allowSmall: false }),
  'local plan, more experts than choices': (make) =>
    local(make, { tokens: 13, topK: 4, experts: 300, tileRows: 8 }),
  'local plan, three dispatches, 1,024 experts': (make) =>
    local(make, { tokens: 700, topK: 16, experts: 1024, tileRows: 8 }),
  'local plan, dropped choices': (make) => local(make, { ...AS_COUNTERS, tokens: 200, tileRows: 3 }),
  'local plan, one expert of two blocks': (make) =>
    local(make, { tokens: 1500, topK: 1, experts: 3, tileRows: 8, id: () => 1 }),
  'receive plan, the example in its shader': () =>
    receive({
      experts: 2,
      first: 0,
      local: 2,
      tileRows: 4,
      counts: [
        [1, 2],
        [3, 0],
      ],
    }),
  'receive plan, part of the experts': (make) =>
    receive({ experts: 10, first: 4, local: 3, tileRows: 4, counts: counts(make, 3, 10, 9) }),
  'receive plan, the second example in its shader': () =>
    receive({
      ...{ experts: 2, first: 0, local: 1, owners: 2, rowStride: 64, tileRows: 4 },
      counts: [
        [1, 2],
        [3, 0],
      ],
    }),
  'receive plan, owners that share a list': (make) =>
    receive({
      ...{ experts: 20, first: 0, local: 3, owners: 4, rowStride: 90, tileRows: 4 },
      counts: counts(make, 5, 20, 6),
    }),
  'receive plan, two lists of two owners': (make) =>
    receive({
      ...{ experts: 12, first: 0, local: 3, owners: 2, lists: 2, rowStride: 100, tileRows: 2 },
      counts: counts(make, 4, 12, 8),
    }),
  'receive plan, no rows': () =>
    receive({ experts: 4, first: 2, local: 2, tileRows: 8, counts: [[3, 0, 0, 0]] }),
  'receive plan, 300 experts': (make) =>
    receive({ experts: 300, first: 0, local: 300, tileRows: 16, counts: counts(make, 2, 300, 20) }),
};

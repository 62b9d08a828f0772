/**
 * The experts of ranks that own a part of them each. Every rank sorts its rows by expert and sends them to the owners; a
 * receive plan lists tiles over what has come, and the rows go back the way they came. Sizes are known to the GPU only.
 */
import type { GroupTable } from '../collectives/groups.ts';
import { local, ofRanks, within } from '../collectives/segments.ts';
import type { SymmetricArray } from '../collectives/symmetric.ts';
import type { RowExchange, Transport } from '../collectives/transport.ts';
import { invariant } from '../core/errors.ts';
import { at, ceilDiv, maxOf, minOf, range } from '../core/math.ts';
import type { Bindable } from '../gpu/buffer.ts';
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import {
  type ExpertProducts,
  type ExpertWeights,
  prepareProducts,
  type RoutedShape,
} from '../kernels/experts/products.ts';
import { prepareReceivePlan, prepareRoutePlan } from '../kernels/routing/route-plan.ts';
import { prepareCombine, prepareGatherRows } from '../kernels/routing/rows.ts';
import { prepareSized, sizedFor } from '../kernels/sized.ts';
import type { Run } from '../layout/layout.ts';
import type { ChoicePlaces, RoutedExperts, RoutedRows } from './routed-experts.ts';

/** The experts of a whole layer, and how the ranks of a group own them. */
export interface ExchangeShape extends RoutedShape {
  /** Slots of one rank; a group has `numExperts / localExperts` ranks. What is called an expert here is the slot that it lies in. */
  readonly localExperts: number;
  /** Neighbours of a group whose experts lie in one stack, so that one dispatch serves them. */
  readonly owners: number;
  /** Rows from one owner's received rows to the next. */
  readonly receiveRows: number;
}

/** Per rank of a stage. */
export interface ExchangeArrays {
  /** u32 [E + 1]: first send row of every expert; of a group's ranks [ranks, E + 1]. */
  readonly start: SymmetricArray;
  readonly starts: SymmetricArray;
  /** u32 [local E, ranks] */
  readonly receiveStart: SymmetricArray;
  /** Of a stack, in the parts of its owners. */
  readonly tiles: SymmetricArray;
  readonly grid: SymmetricArray;
  /** [rows, D]: sent, received, computed, returned. */
  readonly send: SymmetricArray;
  readonly receive: SymmetricArray;
  readonly expertOut: SymmetricArray;
  readonly returned: SymmetricArray;
}

/** A group of ranks of which at least one has tokens. */
export interface ExchangeGroup {
  /** Its index in the table of groups. */
  readonly group: number;
  readonly ranks: readonly number[];
  readonly tokens: number;
  /** Tokens of its fullest rank. */
  readonly maxTokens: number;
  /** The run of its members outside of which none has tokens. */
  readonly sources: Run;
}

export interface ExchangeWork {
  readonly table: GroupTable;
  readonly groups: readonly ExchangeGroup[];
  readonly arrays: ExchangeArrays;
  /** By rank. */
  readonly rowsOf: (rank: number) => RoutedRows & ChoicePlaces;
  /** The stack that a rank is the first owner of, and [rows of its owners, F] of scratch. */
  readonly stackOf: (rank: number) => { readonly weights: ExpertWeights; readonly hidden: Bindable };
  /** True when a rank without tokens may have starts of other tokens: its peers read them. */
  readonly clearStarts: boolean;
}

export interface ExchangedExperts extends RoutedExperts<ExchangeWork> {
  /** Most rows of a tile. */
  readonly tileRows: number;
}

/** @throws ConfigError when a stack has 2^32 values. */
export async function prepareExchangedExperts(
  gpu: Gpu,
  shape: ExchangeShape,
  transport: Transport,
): Promise<ExchangedExperts> {
  const { numExperts, localExperts, owners, receiveRows, topK, modelDim: width, residual } = shape;
  const stackExperts = owners * localExperts;
  const [plan, permute, receivePlan, sized, join] = await Promise.all([
    prepareRoutePlan(gpu, { numExperts, topK }),
    prepareGatherRows(gpu, { width, dtype: 'f32' }),
    prepareReceivePlan(gpu, {
      ...{ numSources: numExperts / localExperts, numExperts, localExperts, numOwners: owners },
    }),
    prepareSized((rowsPerExpert) =>
      prepareProducts(gpu, { ...shape, numExperts: stackExperts }, { rowsPerExpert, gather: false }),
    ),
    prepareCombine(gpu, { width, topK, residual }),
  ]);
  const productsOf = ({ tokens }: ExchangeGroup): ExpertProducts =>
    sizedFor(sized, ceilDiv(tokens * topK, numExperts));

  /** Of one stack. */
  const mostRowsOf = ({ tokens }: ExchangeGroup): number => tokens * Math.min(topK, stackExperts);

  /** Rows in the order of their experts, ready to be sent. */
  const recordSends = (commands: CommandList, { groups, rowsOf, arrays }: ExchangeWork): void => {
    for (const rank of groups.flatMap(({ ranks }) => ranks)) {
      const { numTokens, x, ids, slot, rowToken, planScratch: scratch } = rowsOf(rank);
      if (numTokens === 0) continue;
      ofRanks(commands, rank);
      const start = arrays.start.part(rank);
      plan.record(commands, numTokens, { ids, start, slot, rowToken, scratch });
      permute.record(
        commands,
        { numRows: numTokens * topK, numSource: numTokens },
        { x, index: rowToken, y: arrays.send.part(rank) },
      );
    }
  };

  const recordReceivePlan = (
    commands: CommandList,
    { table, arrays }: ExchangeWork,
    g: ExchangeGroup,
  ): void => {
    const { starts, receiveStart, tiles, grid } = arrays;
    receivePlan.record(
      commands,
      { firstExpert: 0, ...productsOf(g).tiling(mostRowsOf(g)) },
      { starts: starts.buffer, receiveStart: receiveStart.buffer, tiles: tiles.buffer, grid: grid.buffer },
      {
        members: table.members,
        firstMember: at(table.firstMember, g.group),
        numLists: g.ranks.length / owners,
        rowStride: receiveRows,
        startsStride: starts.stride,
        placeStride: receiveStart.stride,
        tilesStride: tiles.stride,
        gridStride: grid.stride,
      },
    );
  };

  /** Ranks whose experts lie in one stack take part in one dispatch: a tile says whose rows it has. */
  const recordProducts = (
    commands: CommandList,
    { arrays, stackOf }: ExchangeWork,
    g: ExchangeGroup,
  ): void => {
    for (let i = 0; i < g.ranks.length; i += owners) {
      const first = at(g.ranks, i);
      invariant(
        at(g.ranks, i + owners - 1) === first + owners - 1,
        () => `ranks ${g.ranks.join()} are no neighbours`,
      );
      const stack = stackOf(first);
      // A rank without experts receives nothing.
      if (stack.weights.numExperts === 0) continue;
      ofRanks(commands, ...range(owners).map((i) => first + i));
      productsOf(g).record(commands, {
        ...stack,
        x: arrays.receive.parts(first, owners),
        tiles: arrays.tiles.parts(first, owners),
        grid: arrays.grid.part(first),
        y: arrays.expertOut.parts(first, owners),
        mostRows: mostRowsOf(g),
      });
    }
  };

  const exchangeOf = ({ table, arrays }: ExchangeWork, g: ExchangeGroup): RowExchange => ({
    ...{ groups: table, group: g.group, sources: g.sources, maxRows: g.maxTokens * topK },
    ...{ width, numExperts, localExperts, start: arrays.start, receiveStart: arrays.receiveStart },
  });

  return {
    tileRows: sizedFor(sized, Infinity).tileRows,
    dispatch: (work) => {
      const { groups, arrays, clearStarts } = work;
      if (groups.length === 0) return [];
      const receivers = groups.flatMap(({ ranks }) => ranks);
      const [first, last] = [minOf(receivers), maxOf(receivers)];
      const run = { first, count: last - first + 1 };
      return [
        local('route', (commands) => {
          if (clearStarts) commands.clear(arrays.start.buffer);
          recordSends(commands, work);
        }),
        within(
          'all-to-all',
          transport.allGather(arrays.start, arrays.starts, work.table, numExperts + 1, run),
        ),
        local('all-to-all', (commands) => groups.forEach((g) => recordReceivePlan(commands, work, g))),
        ...groups.map((g) =>
          within('all-to-all', transport.dispatchRows(arrays.send, arrays.receive, exchangeOf(work, g))),
        ),
      ];
    },
    experts: (work) => [
      local('experts', (commands) => work.groups.forEach((g) => recordProducts(commands, work, g))),
    ],
    combine: (work) => [
      ...work.groups.map((g) =>
        within(
          'all-to-all',
          transport.returnRows(work.arrays.expertOut, work.arrays.returned, exchangeOf(work, g)),
        ),
      ),
      local('combine', (commands) => {
        for (const rank of work.groups.flatMap(({ ranks }) => ranks)) {
          const { numTokens, slot, scores, residual: added, y } = work.rowsOf(rank);
          ofRanks(commands, rank);
          const expertOut = work.arrays.returned.part(rank);
          join.record(commands, numTokens, { expertOut, slot, scores, residual: added, y });
        }
      }),
    ],
  };
}

/** All ranks on one device: collectives are kernels over symmetric arrays, in fixed order. */
import type { CommandList } from '../gpu/command-list.ts';
import type { Gpu } from '../gpu/gpu.ts';
import * as kernels from '../kernels/collectives.ts';
import type { SymmetricArray } from './symmetric.ts';
import type { RowExchange, RowShares, Transport } from './transport.ts';

export async function oneDeviceTransport(gpu: Gpu): Promise<Transport> {
  const [reduceScatterRows, allGatherRows, allReduce, allGather, allToAll, forward, backward] =
    await Promise.all([
      gpu.kernel(kernels.reduceScatterRows),
      gpu.kernel(kernels.allGatherRows),
      gpu.kernel(kernels.allReduce),
      gpu.kernel(kernels.allGather),
      gpu.kernel(kernels.allToAll),
      gpu.kernel(kernels.exchangeRows),
      gpu.kernel(kernels.exchangeRows, { BACKWARD: true }),
    ]);

  const rows = (
    commands: CommandList,
    kernel: typeof reduceScatterRows | typeof allGatherRows,
    x: SymmetricArray,
    y: SymmetricArray,
    { groups, shares, ranks, maxRows, width }: RowShares,
  ): void => {
    commands.dispatch(
      kernel,
      {
        ...{ maxRows, width, xStride: x.stride, yStride: y.stride },
        firstRank: ranks?.first ?? 0,
        numRanks: ranks?.count ?? groups.numRanks,
      },
      { x: x.buffer, members: groups.members, shares, y: y.buffer },
    );
  };

  const exchange = (
    commands: CommandList,
    kernel: typeof forward,
    from: SymmetricArray,
    to: SymmetricArray,
    strides: { sendStride: number; receiveStride: number },
    p: RowExchange,
  ): void => {
    commands.dispatch(
      kernel,
      {
        maxRows: p.maxRows,
        groupSize: sizeOf(p),
        firstSource: p.sources?.first ?? 0,
        numSources: p.sources?.count ?? sizeOf(p),
        firstMember: p.groups.firstMember[p.group] ?? 0,
        width: p.width,
        numExperts: p.numExperts,
        localExperts: p.localExperts,
        ...strides,
        startStride: p.start.stride,
        placeStride: p.receiveStart.stride,
      },
      {
        src: from.buffer,
        start_SE: p.start.buffer,
        receiveStart: p.receiveStart.buffer,
        members: p.groups.members,
        dst: to.buffer,
      },
    );
  };

  return {
    name: 'one device',
    reduceScatterRows: (commands, x, y, p) => rows(commands, reduceScatterRows, x, y, p),
    allGatherRows: (commands, x, y, p) => rows(commands, allGatherRows, x, y, p),
    allReduce: (commands, x, y, groups, count) => {
      commands.dispatch(
        allReduce,
        { count, numRanks: groups.numRanks, xStride: x.stride, yStride: y.stride },
        { x: x.buffer, members: groups.members, groups: groups.ofRank, y: y.buffer },
      );
    },
    allGather: (commands, x, y, groups, count, ranks) => {
      commands.dispatch(
        allGather,
        {
          ...{ count, groupSize: groups.groupSize, xStride: x.stride, yStride: y.stride },
          firstRank: ranks?.first ?? 0,
          numRanks: ranks?.count ?? groups.numRanks,
        },
        { x: x.buffer, members: groups.members, groups: groups.ofRank, y: y.buffer },
      );
    },
    allToAll: (commands, x, y, groups, count) => {
      const { numRanks, groupSize } = groups;
      commands.dispatch(
        allToAll,
        { count, numRanks, groupSize, xStride: x.stride, yStride: y.stride },
        { x: x.buffer, members: groups.members, groups: groups.ofRank, y: y.buffer },
      );
    },
    dispatchRows: (commands, send, receive, p) =>
      exchange(
        commands,
        forward,
        send,
        receive,
        { sendStride: send.stride, receiveStride: receive.stride },
        p,
      ),
    returnRows: (commands, receive, send, p) =>
      exchange(
        commands,
        backward,
        receive,
        send,
        { sendStride: send.stride, receiveStride: receive.stride },
        p,
      ),
    sendReceive: (commands, from, to, bytes) => commands.copy(from, to, bytes),
  };
}

function sizeOf({ groups, group }: RowExchange): number {
  return groups.groups[group]?.length ?? 0;
}

/** All ranks on one device: collectives are kernels over symmetric arrays, in fixed order. */
import { at } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import * as kernels from '../kernels/collectives.ts';
import type { Recorded } from './segments.ts';
import type { SymmetricArray } from './symmetric.ts';
import type { RowExchange, RowShares, Transport } from './transport.ts';

/** Every verb is recorded: a step waits for nothing. */
export async function oneDeviceTransport(gpu: Gpu): Promise<Transport<Recorded>> {
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
    kernel: typeof reduceScatterRows | typeof allGatherRows,
    x: SymmetricArray,
    y: SymmetricArray,
    { groups, shares, ranks, maxRows, width }: RowShares,
  ): Recorded => ({
    record: (commands) =>
      commands.dispatch(
        kernel,
        {
          ...{ maxRows, width, xStride: x.stride, yStride: y.stride },
          firstRank: ranks?.first ?? 0,
          numRanks: ranks?.count ?? groups.numRanks,
        },
        { x: x.buffer, members: groups.members, shares, y: y.buffer },
      ),
  });

  const exchange = (
    kernel: typeof forward,
    from: SymmetricArray,
    to: SymmetricArray,
    strides: { sendStride: number; receiveStride: number },
    p: RowExchange,
  ): Recorded => ({
    record: (commands) =>
      commands.dispatch(
        kernel,
        {
          maxRows: p.maxRows,
          groupSize: sizeOf(p),
          firstSource: p.sources?.first ?? 0,
          numSources: p.sources?.count ?? sizeOf(p),
          firstMember: at(p.groups.firstMember, p.group),
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
      ),
  });

  return {
    name: 'one device',
    reduceScatterRows: (x, y, p) => rows(reduceScatterRows, x, y, p),
    allGatherRows: (x, y, p) => rows(allGatherRows, x, y, p),
    allReduce: (x, y, groups, count) => ({
      record: (commands) =>
        commands.dispatch(
          allReduce,
          { count, numRanks: groups.numRanks, xStride: x.stride, yStride: y.stride },
          { x: x.buffer, members: groups.members, groups: groups.ofRank, y: y.buffer },
        ),
    }),
    allGather: (x, y, groups, count, ranks) => ({
      record: (commands) =>
        commands.dispatch(
          allGather,
          {
            ...{ count, groupSize: groups.groupSize, xStride: x.stride, yStride: y.stride },
            firstRank: ranks?.first ?? 0,
            numRanks: ranks?.count ?? groups.numRanks,
          },
          { x: x.buffer, members: groups.members, groups: groups.ofRank, y: y.buffer },
        ),
    }),
    allToAll: (x, y, groups, count) => ({
      record: (commands) => {
        const { numRanks, groupSize } = groups;
        commands.dispatch(
          allToAll,
          { count, numRanks, groupSize, xStride: x.stride, yStride: y.stride },
          { x: x.buffer, members: groups.members, groups: groups.ofRank, y: y.buffer },
        );
      },
    }),
    dispatchRows: (send, receive, p) =>
      exchange(forward, send, receive, { sendStride: send.stride, receiveStride: receive.stride }, p),
    returnRows: (receive, send, p) =>
      exchange(backward, receive, send, { sendStride: send.stride, receiveStride: receive.stride }, p),
    sendReceive: (moves) => ({
      record: (commands) => {
        for (const { from, to, bytes } of moves) commands.copy(from, to, bytes);
      },
    }),
  };
}

function sizeOf({ groups, group }: RowExchange): number {
  return at(groups.groups, group).length;
}

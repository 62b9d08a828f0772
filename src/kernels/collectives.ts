/** Kernels that move or sum parts of symmetric arrays: the one-device transport is made of these. */
import { ceilDiv } from '../core/math.ts';
import { defineKernel } from '../gpu/kernel.ts';
import { spreadPerRank } from './variants.ts';

const rowParams = {
  maxRows: 'u32',
  firstRank: 'u32',
  numRanks: 'u32',
  width: 'u32',
  xStride: 'u32',
  yStride: 'u32',
} as const;
const rowBuffers = { x: 'read', members: 'read', shares: 'read', y: 'write' } as const;
const wordBuffers = { x: 'read', members: 'read', groups: 'read', y: 'write' } as const;

export const reduceScatterRows = defineKernel({
  shader: 'collectives/reduce-scatter-rows.wgsl',
  spec: { WG: 64 },
  params: rowParams,
  buffers: rowBuffers,
  grid: (_s, p) => spreadPerRank(p.maxRows, p.numRanks),
});

export const allGatherRows = defineKernel({
  shader: 'collectives/all-gather-rows.wgsl',
  spec: { WG: 64 },
  params: rowParams,
  buffers: rowBuffers,
  grid: (_s, p) => spreadPerRank(p.maxRows, p.numRanks),
});

export const allReduce = defineKernel({
  shader: 'collectives/all-reduce.wgsl',
  spec: { WG: 64 },
  params: { count: 'u32', numRanks: 'u32', xStride: 'u32', yStride: 'u32' },
  buffers: wordBuffers,
  grid: (s, p) => spreadPerRank(ceilDiv(p.count, s.WG), p.numRanks),
});

export const allGather = defineKernel({
  shader: 'collectives/all-gather.wgsl',
  spec: { WG: 64 },
  params: {
    count: 'u32',
    firstRank: 'u32',
    numRanks: 'u32',
    groupSize: 'u32',
    xStride: 'u32',
    yStride: 'u32',
  },
  buffers: wordBuffers,
  grid: (s, p) => spreadPerRank(ceilDiv(p.count * p.groupSize, s.WG), p.numRanks),
});

export const allToAll = defineKernel({
  shader: 'collectives/all-to-all.wgsl',
  spec: { WG: 64 },
  params: { count: 'u32', numRanks: 'u32', groupSize: 'u32', xStride: 'u32', yStride: 'u32' },
  buffers: wordBuffers,
  grid: (s, p) => {
    const [x, y, slabs] = spreadPerRank(ceilDiv(p.count, s.WG), p.numRanks);
    return [x, y, slabs * p.groupSize];
  },
});

export const exchangeRows = defineKernel({
  shader: 'collectives/exchange-rows.wgsl',
  spec: { WG: 64, BACKWARD: false },
  params: {
    maxRows: 'u32',
    firstSource: 'u32',
    numSources: 'u32',
    groupSize: 'u32',
    firstMember: 'u32',
    width: 'u32',
    numExperts: 'u32',
    localExperts: 'u32',
    sendStride: 'u32',
    receiveStride: 'u32',
    startStride: 'u32',
    placeStride: 'u32',
  },
  buffers: { src: 'read', start_SE: 'read', receiveStart: 'read', members: 'read', dst: 'write' },
  grid: (_s, p) => spreadPerRank(p.maxRows, p.numSources),
});

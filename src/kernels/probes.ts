/**
 * Kernels that do one thing as fast as the adapter can: multiply-add, load, copy, share. What they reach is a
 * ceiling for all others. Each computes something known, so that a probe that does less is found out.
 */
import { ceilDiv } from '../core/math.ts';
import { defineKernel, type Grid } from '../gpu/kernel.ts';
import { spread } from './variants.ts';

const gridOf = (lanes: number, width: number): Grid => spread(ceilDiv(lanes, width));

/** `two`, `one` and `half` are what their names say. */
const fmaParams = { lanes: 'u32', steps: 'u32', two: 'f32', one: 'f32', half: 'f32' } as const;

/** Values per chain. */
export const CHAIN_WIDTH = 4;
/** A multiply-add per value and step: 2 FLOP. */
export const chainsOf = (wide: boolean): number => (wide ? 8 : 4);

export const fmaProbe = defineKernel({
  shader: 'probes/fma.wgsl',
  spec: { WG: 64, FUSED: false, WIDE: false },
  params: fmaParams,
  buffers: { y: 'write' },
  grid: (s, p) => gridOf(p.lanes, s.WG),
});

export const fmaHalfProbe = defineKernel({
  shader: 'probes/fma-f16.wgsl',
  spec: { WG: 64, FUSED: false, WIDE: false },
  params: fmaParams,
  buffers: { y: 'write' },
  grid: (s, p) => gridOf(p.lanes, s.WG),
  features: ['shader-f16'],
});

export const readProbe = defineKernel({
  shader: 'probes/read.wgsl',
  spec: { WG: 64 },
  params: { lanes: 'u32', loads: 'u32', mask: 'u32' },
  buffers: { x: 'read', y: 'write' },
  grid: (s, p) => gridOf(p.lanes, s.WG),
});

export const copyProbe = defineKernel({
  shader: 'probes/copy.wgsl',
  spec: { WG: 64 },
  params: { count: 'u32', perLane: 'u32' },
  buffers: { x: 'read', y: 'write' },
  grid: (s, p) => gridOf(p.count, s.WG * p.perLane),
});

export const chaseProbe = defineKernel({
  shader: 'probes/chase.wgsl',
  spec: { WG: 64 },
  params: { lanes: 'u32', loads: 'u32', mask: 'u32' },
  buffers: { next: 'read', y: 'write' },
  grid: (s, p) => gridOf(p.lanes, s.WG),
});

export const workgroupProbe = defineKernel({
  shader: 'probes/workgroup.wgsl',
  spec: { WG: 64, SLOTS: 256 },
  params: { lanes: 'u32', loads: 'u32' },
  buffers: { y: 'write' },
  grid: (s, p) => gridOf(p.lanes, s.WG),
});

export const broadcastProbe = defineKernel({
  shader: 'probes/broadcast.wgsl',
  spec: { WG: 64 },
  params: { lanes: 'u32', rounds: 'u32' },
  buffers: { y: 'write', place: 'write' },
  grid: (s, p) => gridOf(p.lanes, s.WG),
  features: ['subgroups'],
});

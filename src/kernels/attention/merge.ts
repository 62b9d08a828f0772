/** Split-KV decoding (flash-decoding): the kernel that joins what the parts of the keys gave (see `core/key-parts.ts`). */
import { powerOfTwo } from '../variants.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { type QueryBlock, wholeGrid } from './grid.ts';

/** A workgroup joins the parts of one query. */
export const MERGE_BLOCK: QueryBlock = { queries: 1, workgroups: 1 };

const params = {
  numHeads: 'u32',
  causal: 'u32',
  maxQueries: 'u32',
  numSequences: 'u32',
  window: 'u32',
  numParts: 'u32',
  keysPerPart: 'u32',
  firstQuery: 'u32',
  firstHead: 'u32',
  firstSequence: 'u32',
} as const;

const merge = defineKernel({
  shader: 'attention/merge.wgsl',
  spec: { WG: 16, HEAD_VECS: 16, SINKS: false },
  params,
  buffers: { parts_THPD: 'read', sequences: 'read', o_THD: 'write', sinks_H: 'read' },
  grid: (_s, p) => wholeGrid(MERGE_BLOCK, p),
});

const mergeTeams = defineKernel({
  shader: 'attention/merge-teams.wgsl',
  spec: { WG: 64, HEAD_VECS: 16, SPAN: 16, SINKS: false },
  params,
  buffers: { parts_THPD: 'read', sequences: 'read', o_THD: 'write', sinks_H: 'read' },
  grid: (_s, p) => wholeGrid(MERGE_BLOCK, p),
});

/** The kernel that joins parts: on a GPU lanes lie on parts first, on a CPU adapter a barrier costs more than that saves. */
export function prepareMerge(
  gpu: Gpu,
  { headDim, sinks }: { readonly headDim: number; readonly sinks: boolean },
) {
  const spec = { HEAD_VECS: headDim / 4, SINKS: sinks };
  return gpu.kernelsFor === 'gpu'
    ? gpu.kernel(mergeTeams, { ...spec, SPAN: powerOfTwo(headDim / 4) })
    : gpu.kernel(merge, spec);
}

/** Split-KV decoding (flash-decoding): the kernel that joins what the parts of the keys gave (see `core/key-parts.ts`). */
import { defineKernel } from '../../gpu/kernel.ts';
import { type QueryBlock, wholeGrid } from './grid.ts';

/** A workgroup joins the parts of one query. */
export const MERGE_BLOCK: QueryBlock = { queries: 1, workgroups: 1 };

export const merge = defineKernel({
  shader: 'attention/merge.wgsl',
  spec: { WG: 16, HEAD_VECS: 16, SINKS: false },
  params: {
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
  },
  buffers: { parts_THPD: 'read', sequences: 'read', o_THD: 'write', sinks_H: 'read' },
  grid: (_s, p) => wholeGrid(MERGE_BLOCK, p),
});

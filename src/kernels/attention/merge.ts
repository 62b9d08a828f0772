/** Split-KV decoding (flash-decoding): into how many parts the keys are cut, and the kernel that joins them. */
import { ceilDiv } from '../../core/math.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { type QueryBlock, wholeGrid } from './grid.ts';

/** Fewer keys are not worth a workgroup of their own. A guess. */
const LEAST_KEYS = 128;
/** A merge reads the parts of a query one after another. A guess. */
const MOST_PARTS = 64;

export interface Parts {
  readonly numParts: number;
  readonly keysPerPart: number;
}

/** partsOf(2048) = { numParts: 16, keysPerPart: 128 }: of the keys that a query sees at most. */
export function partsOf(numKeys: number): Parts {
  const keysPerPart = LEAST_KEYS * Math.max(1, ceilDiv(numKeys, LEAST_KEYS * MOST_PARTS));
  return { numParts: Math.max(1, ceilDiv(numKeys, keysPerPart)), keysPerPart };
}

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

/** Split-KV decoding: when keys are cut into parts, into how many, and the memory for what each part gives. */
import { ceilDiv } from './math.ts';

/** Fewer keys are not worth a workgroup of their own. A guess. */
const LEAST_KEYS = 128;
/** A merge reads the parts of a query one after another. A guess. */
const MOST_PARTS = 64;

export interface KeyParts {
  readonly numParts: number;
  readonly keysPerPart: number;
}

/** partsOf(2048) = { numParts: 16, keysPerPart: 128 }: of the keys that a query sees at most. */
export function partsOf(numKeys: number): KeyParts {
  const keysPerPart = LEAST_KEYS * Math.max(1, ceilDiv(numKeys, LEAST_KEYS * MOST_PARTS));
  return { numParts: Math.max(1, ceilDiv(numKeys, keysPerPart)), keysPerPart };
}

/** f32 that `numRows` queries keep until their parts are merged. */
export function partsWords(numRows: number, numHeads: number, headDim: number, numKeys: number): number {
  return numRows * numHeads * partsOf(numKeys).numParts * (headDim + 4);
}

/**
 * Workgroups that keep a GPU's cores busy, a guess. With 2 cores parts did not pay (minima of 7 runs): 1 head, 8,192 keys,
 * llvmpipe 0.85 -> 1.05 ms; 1 head, 2,048 keys, SwiftShader 1.9 -> 2.2 ms (2026-11-24).
 */
const BUSY_WORKGROUPS = 256;
/** With fewer keys the second dispatch costs more than it brings. A guess. */
const LEAST_SPLIT_KEYS = 512;

/** Whether a GPU that has so many workgroups without parts should cut the keys into some. */
export function partsPay(workgroups: number, numKeys: number): boolean {
  return workgroups < BUSY_WORKGROUPS && numKeys >= LEAST_SPLIT_KEYS;
}

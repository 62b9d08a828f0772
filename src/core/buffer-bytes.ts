/** What a request for memory comes to on a device. */
import { roundUp } from './math.ts';

/** Bytes that a device allocates for a buffer of `bytes`. */
export function bufferBytes(bytes: number): number {
  return Math.max(16, roundUp(bytes, 16));
}

/** Words (4 bytes) from one part of an array to the next, so that each can be bound. @param alignment bytes. */
export function partStride(wordsPerPart: number, alignment: number): number {
  return roundUp(Math.max(1, wordsPerPart), alignment / 4);
}

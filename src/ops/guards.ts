/**
 * Memory behind what ops read and write, where a check asks for it: a kernel that writes beyond its rows leaves a mark
 * there, and what one reads beyond its inputs is no number, so that not even a factor of 0 hides it.
 */
import { roundUp } from '../core/math.ts';
import { type BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { Bound, Gpu } from '../gpu/gpu.ts';

/** Several rows of a small case. */
const GUARD_BYTES = 4096;

/** NaN in f32, in both halves of a word and as a scale. */
export const NO_NUMBER = 0x7fffffff;
/** Behind integers: it may be an index, an id or a count, so nobody can tell it by its value. */
export const LIKELY = 0;

const guarding = new WeakSet<Gpu>();
/** Where the guard of a buffer begins, in bytes. */
const ends = new WeakMap<GpuBuffer, number>();

/** What is prepared meanwhile has guards. */
export async function withGuards<T>(gpu: Gpu, prepare: () => Promise<T>): Promise<T> {
  guarding.add(gpu);
  try {
    return await prepare();
  } finally {
    guarding.delete(gpu);
  }
}

/** Bytes to ask for behind what a buffer is to hold. */
export function guardBytes(gpu: Gpu): number {
  return guarding.has(gpu) ? GUARD_BYTES : 0;
}

/** Says that a buffer was made with a guard behind its first `bytes` bytes. */
export function setGuard(gpu: Gpu, buffer: GpuBuffer, bytes: number): void {
  if (guarding.has(gpu)) ends.set(buffer, bytes);
}

export function guardOf(buffer: GpuBuffer): BufferView | undefined {
  const end = ends.get(buffer);
  return end === undefined ? undefined : buffer.view(end);
}

/** The view, with the guard where it ends at one, so that a stray write is neither dropped nor moved to the last element. */
export function withGuard(view: BufferView): BufferView {
  const { buffer, byteOffset, byteLength } = view;
  return ends.get(buffer) === byteOffset + byteLength ? buffer.view(byteOffset) : view;
}

/** An input whose values end after `bytes`; where guards are asked for, a longer copy with `word` behind them. */
export function guarded(gpu: Gpu, input: GpuBuffer, bytes: number, word: number, bound: Bound): GpuBuffer {
  if (!guarding.has(gpu)) return input;
  const end = roundUp(bytes, 4);
  const longer = gpu.buffer(input.label, end + GUARD_BYTES, bound);
  const commands = gpu.commands('guard');
  commands.copy(input, longer, end);
  commands.submit();
  gpu.write(longer.view(end), new Uint32Array(GUARD_BYTES / 4).fill(word));
  input.destroy();
  ends.set(longer, end);
  return longer;
}

/** Memory behind what ops write, where a check asks for it: a kernel that writes beyond its rows leaves a mark there. */
import { type BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';

/** Several rows of a small case. */
const GUARD_BYTES = 4096;

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

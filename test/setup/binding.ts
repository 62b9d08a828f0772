/** An adapter that binds less than it does. */
import { expect } from 'vitest';
import type { Gpu } from '../../src/gpu/gpu.ts';

/** Runs something on `gpu` as if it bound no more than `bytes`, and fails for a larger binding. */
export async function bindingAtMost<T>(gpu: Gpu, bytes: number, run: () => Promise<T>): Promise<T> {
  const { limits } = gpu;
  const get = (target: GPUSupportedLimits, name: string | symbol): unknown =>
    name === 'maxStorageBufferBindingSize' ? bytes : Reflect.get(target, name, target);
  // A view that is made meanwhile takes them from the device.
  const set = (value: GPUSupportedLimits): void => {
    for (const target of [gpu, gpu.device])
      Object.defineProperty(target, 'limits', { value, configurable: true });
  };
  set(new Proxy(limits, { get }));
  const bound = gpu.bindGroups.get.bind(gpu.bindGroups);
  gpu.bindGroups.get = (kernel, views) => {
    for (const view of views) expect(view.byteLength, view.buffer.label).toBeLessThanOrEqual(bytes);
    return bound(kernel, views);
  };
  try {
    return await run();
  } finally {
    gpu.bindGroups.get = bound;
    set(limits);
  }
}

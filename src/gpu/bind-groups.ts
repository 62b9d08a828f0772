/** Bind groups by the buffers they bind, so that a step that repeats creates none. */
import type { BufferView } from './buffer.ts';
import type { CompiledKernel } from './pipeline-cache.ts';

export class BindGroupCache {
  readonly #device: GPUDevice;
  readonly #groups = new Map<string, GPUBindGroup>();
  readonly #keysOfBuffer = new Map<number, Set<string>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get size(): number {
    return this.#groups.size;
  }

  get(kernel: CompiledKernel, views: readonly BufferView[]): GPUBindGroup {
    let key = kernel.layoutKey;
    for (const v of views) key += `|${v.buffer.id}:${v.byteOffset}:${v.byteLength}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = this.#device.createBindGroup({
        label: kernel.name,
        layout: kernel.storageLayout,
        entries: views.map((v, binding) => ({
          binding,
          resource: { buffer: v.buffer.handle, offset: v.byteOffset, size: v.byteLength },
        })),
      });
      this.#groups.set(key, group);
      for (const v of views) this.#remember(v.buffer.id, key);
    }
    return group;
  }

  /** Drops every group that binds a destroyed buffer. */
  forget(bufferId: number): void {
    for (const key of this.#keysOfBuffer.get(bufferId) ?? []) this.#groups.delete(key);
    this.#keysOfBuffer.delete(bufferId);
  }

  #remember(bufferId: number, key: string): void {
    const keys = this.#keysOfBuffer.get(bufferId);
    if (keys === undefined) this.#keysOfBuffer.set(bufferId, new Set([key]));
    else keys.add(key);
  }
}

/** Bind groups by the buffers they bind, so that a step that repeats creates none. */
import { ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';
import { formatBytes } from '../core/units.ts';
import { type BufferView, checkView } from './buffer.ts';
import type { CompiledKernel } from './shader/pipeline-cache.ts';

interface Entry {
  readonly group: GPUBindGroup;
  readonly bufferIds: readonly number[];
}

/** Several steps of a large engine. A guess. */
const MOST_YOUNG = 16_384;

/**
 * Steps that never repeat, of ragged batches, would fill it without end. So when there are many young groups, those that were not
 * used since that happened last are dropped, and the young ones are old.
 */
export class BindGroupCache {
  readonly #device: GPUDevice;
  readonly #mostYoung: number;
  #young = new Map<string, Entry>();
  #old = new Map<string, Entry>();
  readonly #keysOfBuffer = new Map<number, Set<string>>();

  constructor(device: GPUDevice, mostYoung = MOST_YOUNG) {
    this.#device = device;
    this.#mostYoung = mostYoung;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** @throws ConfigError for a view that cannot be bound: destroyed, too long, or where no binding may begin. */
  get(kernel: CompiledKernel, views: readonly BufferView[]): GPUBindGroup {
    let key = kernel.layoutKey;
    for (const v of views) key += `|${v.buffer.id}:${v.byteOffset}:${v.byteLength}`;
    let entry = this.#young.get(key) ?? this.#used(key);
    if (entry === undefined) {
      views.forEach((view, i) => this.#checkBinding(kernel, view, at(kernel.shader.storage, i).name));
      const group = this.#device.createBindGroup({
        label: kernel.name,
        layout: kernel.storageLayout,
        entries: views.map((v, binding) => ({
          binding,
          resource: { buffer: v.buffer.handle, offset: v.byteOffset, size: v.byteLength },
        })),
      });
      entry = { group, bufferIds: views.map((v) => v.buffer.id) };
      this.#keep(key, entry);
      for (const id of entry.bufferIds) this.#remember(id, key);
    }
    return entry.group;
  }

  /** Drops every group that binds a destroyed buffer, also from the keys of the buffers that live on. */
  forget(bufferId: number): void {
    for (const key of this.#keysOfBuffer.get(bufferId) ?? []) {
      for (const id of (this.#young.get(key) ?? this.#old.get(key))?.bufferIds ?? []) {
        if (id !== bufferId) this.#keysOfBuffer.get(id)?.delete(key);
      }
      this.#young.delete(key);
      this.#old.delete(key);
    }
    this.#keysOfBuffer.delete(bufferId);
  }

  /** An old group that is used again is young. */
  #used(key: string): Entry | undefined {
    const entry = this.#old.get(key);
    if (entry === undefined) return undefined;
    this.#old.delete(key);
    this.#keep(key, entry);
    return entry;
  }

  #keep(key: string, entry: Entry): void {
    if (this.#young.size >= this.#mostYoung) {
      for (const [unused, { bufferIds }] of this.#old) {
        for (const id of bufferIds) this.#keysOfBuffer.get(id)?.delete(unused);
      }
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, entry);
  }

  #checkBinding(kernel: CompiledKernel, view: BufferView, name: string): void {
    const { maxStorageBufferBindingSize: most, minStorageBufferOffsetAlignment: step } = this.#device.limits;
    const what = `${kernel.name}: ${name}`;
    checkView(view, 0, what);
    if (view.byteLength > most) {
      throw new ConfigError(
        `${what} binds ${formatBytes(view.byteLength)} of ${view.buffer.label}, but this adapter binds at most ` +
          `${formatBytes(most)} at once. Use smaller sizes, or bind it in pieces.`,
      );
    }
    if (view.byteOffset % step !== 0 || view.byteLength % 4 !== 0) {
      throw new ConfigError(
        `${what} binds ${view.byteLength} bytes of ${view.buffer.label} from byte ${view.byteOffset} on, but bindings of ` +
          `this adapter begin at multiples of ${step} bytes and hold whole words of 4.`,
      );
    }
  }

  #remember(bufferId: number, key: string): void {
    const keys = this.#keysOfBuffer.get(bufferId);
    if (keys === undefined) this.#keysOfBuffer.set(bufferId, new Set([key]));
    else keys.add(key);
  }
}

/**
 * Recording, apart from submitting. A list is filled by recorders that decide nothing and is submitted once by
 * the one who owns it. With timing, every span (or every dispatch) is a compute pass with its own two timestamps.
 */
import { invariant } from '../core/errors.ts';
import { at, product } from '../core/math.ts';
import { type BufferView, type GpuBuffer, viewOf } from './buffer.ts';
import type { DeviceContext, Kernel } from './context.ts';
import type { Grid, KernelDefinition } from './kernel.ts';
import type { ParamChunk } from './param-arena.ts';
import { SpanTimer, type SpanTime } from './span-timer.ts';

/** `none`: one pass for all. `span`: a pass per span. `dispatch`: a pass per dispatch. */
export type TimingDetail = 'none' | 'span' | 'dispatch';

export type Buffers<D extends KernelDefinition> = {
  readonly [K in keyof D['buffers']]: GpuBuffer | BufferView;
};
export type Params<D extends KernelDefinition> = { readonly [K in keyof D['params']]: number };

export class CommandList {
  readonly label: string;
  readonly #gpu: DeviceContext;
  readonly #encoder: GPUCommandEncoder;
  readonly #chunks: ParamChunk[] = [];
  readonly #timing: TimingDetail;
  readonly #timer: SpanTimer | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #pipeline: GPUComputePipeline | undefined;
  #storageGroup: GPUBindGroup | undefined;
  #span = '';
  #dispatches = 0;
  #submitted = false;

  constructor(gpu: DeviceContext, label: string, timing: TimingDetail) {
    this.#gpu = gpu;
    this.label = label;
    this.#encoder = gpu.device.createCommandEncoder({ label });
    this.#timing = timing;
    this.#timer = timing !== 'none' && gpu.has('timestamp-query') ? new SpanTimer(gpu.device) : undefined;
  }

  get dispatches(): number {
    return this.#dispatches;
  }

  /** What follows belongs to the span `name`: 'stage 0/attention'. Spans of one name add up. */
  span(name: string): void {
    if (name === this.#span) return;
    this.#span = name;
    if (this.#timing === 'span') this.#endPass();
  }

  /** Records one dispatch over the definition's grid, or another. A grid without workgroups records nothing. */
  dispatch<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
    grid: Grid = kernel.definition.grid(kernel.spec, params),
  ): void {
    if (product(grid) === 0) return;
    this.#checkGrid(kernel, grid);
    const pass = this.#prepare(kernel, params, buffers);
    pass.dispatchWorkgroups(at(grid, 0), at(grid, 1), at(grid, 2));
    this.#finishDispatch();
  }

  /** Records one dispatch whose three workgroup counts the GPU has written at `args`. */
  dispatchIndirect<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
    args: GpuBuffer | BufferView,
  ): void {
    const pass = this.#prepare(kernel, params, buffers);
    const view = viewOf(args);
    pass.dispatchWorkgroupsIndirect(view.buffer.handle, view.byteOffset);
    this.#finishDispatch();
  }

  copy(source: GpuBuffer | BufferView, target: GpuBuffer | BufferView, bytes?: number): void {
    const from = viewOf(source);
    const to = viewOf(target);
    const size = bytes ?? Math.min(from.byteLength, to.byteLength);
    if (size === 0) return;
    this.#endPass();
    this.#encoder.copyBufferToBuffer(
      from.buffer.handle,
      from.byteOffset,
      to.buffer.handle,
      to.byteOffset,
      size,
    );
  }

  clear(target: GpuBuffer | BufferView): void {
    const view = viewOf(target);
    this.#endPass();
    this.#encoder.clearBuffer(view.buffer.handle, view.byteOffset, view.byteLength);
  }

  /** Sends the list to the device; it does not wait. */
  submit(): SubmittedList {
    invariant(!this.#submitted, () => `command list ${this.label} was submitted twice`);
    this.#submitted = true;
    this.#endPass();
    this.#timer?.resolve(this.#encoder);
    this.#gpu.params.flush(this.#chunks);
    this.#gpu.device.queue.submit([this.#encoder.finish()]);
    const timer = this.#timer;
    return { spans: async () => (timer === undefined ? [] : timer.read()) };
  }

  #prepare<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
  ): GPUComputePassEncoder {
    const { compiled } = kernel;
    const pass = this.#openPass(compiled.name);
    if (this.#pipeline !== compiled.pipeline) {
      pass.setPipeline(compiled.pipeline);
      this.#pipeline = compiled.pipeline;
    }
    const bound: Readonly<Record<string, GpuBuffer | BufferView>> = buffers;
    const views: BufferView[] = [];
    for (const { name } of compiled.shader.storage) {
      const buffer = bound[name];
      invariant(buffer !== undefined, () => `${compiled.name}: buffer ${name} was not given`);
      views.push(viewOf(buffer));
    }
    const group = this.#gpu.bindGroups.get(compiled, views);
    if (group !== this.#storageGroup) {
      pass.setBindGroup(0, group);
      this.#storageGroup = group;
    }
    const slot = this.#gpu.params.put(this.#chunks, compiled.shader, params);
    pass.setBindGroup(1, slot.group, [slot.byteOffset]);
    return pass;
  }

  #openPass(kernelName: string): GPUComputePassEncoder {
    if (this.#pass !== undefined) return this.#pass;
    const label = this.#timing === 'dispatch' ? `${this.#span}|${kernelName}` : this.#span;
    const timestampWrites = this.#timer?.begin(label);
    this.#pass = this.#encoder.beginComputePass(
      timestampWrites === undefined ? { label } : { label, timestampWrites },
    );
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#pipeline = undefined;
    this.#storageGroup = undefined;
  }

  #finishDispatch(): void {
    this.#dispatches += 1;
    if (this.#timing === 'dispatch') this.#endPass();
  }

  #checkGrid(kernel: Kernel, grid: Grid): void {
    const limit = this.#gpu.limits.maxComputeWorkgroupsPerDimension;
    invariant(
      grid.every((n) => Number.isInteger(n) && n > 0 && n <= limit),
      () => `${kernel.compiled.name}: grid [${grid.join(', ')}] is outside of 1..${limit} per dimension`,
    );
  }
}

export interface SubmittedList {
  /** GPU time of every pass in order of recording; empty without timestamps. Waits for the device. */
  spans(): Promise<SpanTime[]>;
}

/**
 * Recording, apart from submitting. A list is filled by recorders that decide nothing and is submitted once by
 * the one who owns it. With timing, every span (or every dispatch) is a compute pass with its own two timestamps.
 */
import { throwIfCancelled } from '../core/async/cancel.ts';
import { ConfigError, invariant } from '../core/errors.ts';
import { at, product } from '../core/math.ts';
import { type Bindable, type BufferView, checkView, viewOf } from './buffer.ts';
import type { DeviceContext, Kernel } from './context.ts';
import type { Grid, KernelDefinition } from './kernel.ts';
import type { ParamArena, ParamChunk } from './param-arena.ts';
import { SpanTimer, type SpanTime } from './span-timer.ts';

/** `none`: one pass for all. `span`: a pass per span. `dispatch`: a pass per dispatch. */
export type TimingDetail = 'none' | 'span' | 'dispatch';

/** What a dispatch of a kernel binds, by the names of its definition. */
export type Buffers<D extends KernelDefinition> = {
  readonly [K in keyof D['buffers']]: Bindable;
};

/** What a dispatch of a kernel sets, a number for each of its params. */
export type Params<D extends KernelDefinition> = { readonly [K in keyof D['params']]: number };

/** What a list holds until it is submitted. */
interface Holdings {
  readonly chunks: ParamChunk[];
  readonly timer: SpanTimer | undefined;
}

/** A list that is dropped without a word gives back what it holds once it is collected. */
const dropped = new FinalizationRegistry(
  ({ params, chunks, timer }: Holdings & { readonly params: ParamArena }) => {
    params.release(chunks);
    timer?.destroy();
  },
);

/** Work that is recorded first and submitted once. `Gpu.commands` makes one. */
export class CommandList {
  readonly label: string;
  readonly #gpu: DeviceContext;
  readonly #encoder: GPUCommandEncoder;
  readonly #holds: Holdings;
  readonly #timing: TimingDetail;
  #pass: GPUComputePassEncoder | undefined;
  #pipeline: GPUComputePipeline | undefined;
  #storageGroup: GPUBindGroup | undefined;
  #tag: unknown;
  #part: unknown;
  #dispatches = 0;
  #over: 'submitted' | 'discarded' | undefined;

  constructor(gpu: DeviceContext, label: string, timing: TimingDetail) {
    gpu.state.check();
    throwIfCancelled(gpu.signal);
    this.#gpu = gpu;
    this.label = label;
    this.#encoder = gpu.device.createCommandEncoder({ label });
    this.#timing = timing;
    const timer = timing !== 'none' && gpu.has('timestamp-query') ? new SpanTimer(gpu) : undefined;
    this.#holds = { chunks: [], timer };
    dropped.register(this, { ...this.#holds, params: gpu.params }, this);
  }

  get dispatches(): number {
    return this.#dispatches;
  }

  /** What follows belongs to the span `tag`, which its times carry: anything. An equal tag (`===`) goes on with the span. */
  span(tag: unknown): void {
    if (tag === this.#tag) return;
    this.#tag = tag;
    this.#part = undefined;
    if (this.#timing === 'span') this.#endPass();
  }

  /** What follows is this part of the span: times carry it where every dispatch has its own. It never ends a pass. */
  part(part: unknown): void {
    this.#part = part;
  }

  /**
   * Records one dispatch over the definition's grid, or another. A grid without workgroups records nothing.
   * @throws ConfigError for a grid, a parameter or a binding beyond what the adapter takes; nothing is recorded then.
   */
  dispatch<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
    grid: Grid = kernel.definition.grid(kernel.spec, params),
  ): void {
    if (product(grid) === 0) return;
    this.#checkGrid(kernel, grid);
    const pass = this.#prepare(kernel, params, buffers, grid);
    pass.dispatchWorkgroups(at(grid, 0), at(grid, 1), at(grid, 2));
    this.#finishDispatch();
  }

  /**
   * Records one dispatch whose three workgroup counts the GPU has written at `args`. Dawn drops a dispatch with a count
   * beyond the adapter's limit without a word, so whoever writes them must bound them.
   * @throws ConfigError as `dispatch`, and for arguments that are not three whole words.
   */
  dispatchIndirect<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
    args: Bindable,
  ): void {
    const view = viewOf(args);
    checkView(view, INDIRECT_BYTES, `${kernel.compiled.name}: grid`);
    if (view.byteOffset % 4 !== 0) {
      throw new ConfigError(
        `${kernel.compiled.name}: its grid begins at byte ${view.byteOffset}, no multiple of 4.`,
      );
    }
    const pass = this.#prepare(kernel, params, buffers);
    pass.dispatchWorkgroupsIndirect(view.buffer.handle, view.byteOffset);
    this.#finishDispatch();
  }

  /** Copies `bytes`, by default as many as both have. @throws ConfigError when one of them has fewer. */
  copy(source: Bindable, target: Bindable, bytes?: number): void {
    const from = viewOf(source);
    const to = viewOf(target);
    const size = bytes ?? Math.min(from.byteLength, to.byteLength);
    if (size === 0) return;
    checkView(from, size, `${this.label}: copy`);
    checkView(to, size, `${this.label}: copy`);
    this.#mustBeOpen();
    this.#endPass();
    this.#encoder.copyBufferToBuffer(
      from.buffer.handle,
      from.byteOffset,
      to.buffer.handle,
      to.byteOffset,
      size,
    );
  }

  clear(target: Bindable): void {
    const view = viewOf(target);
    checkView(view, 0, `${this.label}: clear`);
    this.#mustBeOpen();
    this.#endPass();
    this.#encoder.clearBuffer(view.buffer.handle, view.byteOffset, view.byteLength);
  }

  /**
   * Sends the list to the device; it does not wait.
   * @throws DeviceError when the device is lost or closed. @throws CancelledError when the work was called off.
   */
  submit(): SubmittedList {
    this.#mustBeOpen();
    const { chunks, timer } = this.#holds;
    let submittedNs: number;
    try {
      this.#gpu.state.check();
      throwIfCancelled(this.#gpu.signal);
      this.#endPass();
      timer?.resolve(this.#encoder);
      const buffer = this.#encoder.finish();
      submittedNs = this.#gpu.now();
      this.#gpu.params.flush(chunks);
      this.#gpu.device.queue.submit([buffer]);
    } catch (error) {
      this.discard();
      throw error;
    }
    this.#end('submitted');
    let times: Promise<SpanTime[]> | undefined;
    return {
      submittedNs,
      spans: () => (times ??= timer?.read() ?? Promise.resolve([])),
      discard: () => timer?.destroy(),
    };
  }

  /** Ends a list that will not be submitted: what it holds is free again. Harmless after `submit`. */
  discard(): void {
    if (this.#over !== undefined) return;
    this.#end('discarded');
    this.#gpu.params.release(this.#holds.chunks);
    this.#holds.timer?.destroy();
  }

  #end(how: 'submitted' | 'discarded'): void {
    this.#over = how;
    dropped.unregister(this);
  }

  #mustBeOpen(): void {
    const over = this.#over;
    invariant(over === undefined, () => `command list ${this.label} was ${over} already`);
  }

  #prepare<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
    grid?: Grid,
  ): GPUComputePassEncoder {
    this.#mustBeOpen();
    const { compiled } = kernel;
    const bound: Readonly<Record<string, Bindable>> = buffers;
    const views: BufferView[] = [];
    for (const { name } of compiled.shader.storage) {
      const buffer = bound[name];
      invariant(buffer !== undefined, () => `${compiled.name}: buffer ${name} was not given`);
      views.push(viewOf(buffer));
    }
    const group = this.#gpu.bindGroups.get(compiled, views);
    const slot = this.#gpu.params.put(this.#holds.chunks, compiled, params);
    // All that may be refused has been looked at: from here on it is recorded.
    const pass = this.#openPass(kernel, params, grid);
    if (this.#pipeline !== compiled.pipeline) {
      pass.setPipeline(compiled.pipeline);
      this.#pipeline = compiled.pipeline;
    }
    if (group !== this.#storageGroup) {
      pass.setBindGroup(0, group);
      this.#storageGroup = group;
    }
    pass.setBindGroup(1, slot.group, [slot.byteOffset]);
    return pass;
  }

  #openPass<D extends KernelDefinition>(
    { compiled, spec }: Kernel<D>,
    params: Params<D>,
    grid: Grid | undefined,
  ): GPUComputePassEncoder {
    if (this.#pass !== undefined) return this.#pass;
    const alone = this.#timing === 'dispatch';
    const label = alone ? compiled.name : this.label;
    const timestampWrites = this.#holds.timer?.begin({
      tag: this.#tag,
      part: alone ? this.#part : undefined,
      kernel: alone ? compiled.name : undefined,
      dispatch: alone ? { spec, params, grid } : undefined,
    });
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
    if (grid.every((n) => Number.isInteger(n) && n > 0 && n <= limit)) return;
    throw new ConfigError(
      `${kernel.compiled.name}: its grid of [${grid.join(', ')}] workgroups is outside of 1..${limit} per dimension. ` +
        'Use smaller sizes, or do the work in pieces.',
    );
  }
}

/** Three counts of workgroups. */
const INDIRECT_BYTES = 12;

export interface SubmittedList {
  /** The host's clock right before the list was sent, ns: nothing of it ran earlier. */
  readonly submittedNs: number;
  /**
   * GPU time of every pass in order of recording; empty without timestamps. Waits for the device.
   * @throws DeviceError when it fails, is lost or closed.
   */
  spans(): Promise<SpanTime[]>;
  /** Frees what was held for times that nobody will read. */
  discard(): void;
}

/**
 * The runtime's table of contents: one device with its buffers, compiled kernels and command lists.
 * It knows WebGPU and has never heard of experts.
 */
import { bufferBytes } from '../core/buffer-bytes.ts';
import { anyOf, throwIfCancelled, unlessCancelled } from '../core/async/cancel.ts';
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { roundUp } from '../core/math.ts';
import { longestDispatch, type Peak, peakOfLongest } from '../core/peak.ts';
import { formatBytes } from '../core/units.ts';
import type { AdapterFacts, KernelKind, Platform } from '../platform/platform.ts';
import {
  arrayOf,
  BYTES_OF,
  bytesOf,
  type Dtype,
  type Tensor,
  type TensorData,
  tensor,
} from '../tensor/tensor.ts';
import type { BindGroupCache } from './bind-groups.ts';
import { type Bindable, type BufferView, GpuBuffer, checkView, viewOf } from './buffer.ts';
import { CommandList, type TimingDetail } from './command-list.ts';
import type { DeviceContext, Kernel } from './context.ts';
import type { DeviceState } from './device-state.ts';
import { BUFFER_USAGE, MAP_MODE } from './flags.ts';
import type { KernelDefinition, SpecChange } from './kernel.ts';
import { MemoryLedger } from './ledger.ts';
import { lanesFollowInvocations } from './shader/lanes.ts';
import { MATRIX_FEATURE, type MatrixUnit, matrixUnitsOf, SUBGROUP_SIZES } from './shader/matrices.ts';
import { OpenDevice } from './open-device.ts';
import type { ParamArena } from './param-arena.ts';
import type { QueryPool } from './query-pool.ts';
import type { PipelineCache } from './shader/pipeline-cache.ts';
import { keepsSmallHalves } from './shader/small-halves.ts';
import type { Spec } from './shader/specialise.ts';
import type { Tuning } from './tuning.ts';

const WANTED_FEATURES: readonly GPUFeatureName[] = ['timestamp-query', 'shader-f16', 'subgroups'];
const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupStorageSize',
] as const;

const { STORAGE: STORED, COPY_SRC, COPY_DST, INDIRECT, MAP_READ } = BUFFER_USAGE;
const STORAGE = STORED | COPY_SRC | COPY_DST | INDIRECT;

/** Opens the chosen adapter with all the features and limits that kernels can make use of. */
export async function openGpu(platform: Platform, choice = 'auto'): Promise<Gpu> {
  requireFields('The platform', platform, { openAdapter: 'function' });
  requireGiven('The adapter', choice, 'string');
  const { kernelKind } = platform;
  const open = await platform.openAdapter(choice);
  const adapter = await open.adapter();
  const requiredLimits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  const matrixUnits = matrixUnitsOf(adapter);
  const wanted =
    matrixUnits.length > 0 ? [...WANTED_FEATURES, MATRIX_FEATURE, SUBGROUP_SIZES] : WANTED_FEATURES;
  const device = await adapter.requestDevice({
    requiredFeatures: wanted.filter((f) => adapter.features.has(f)),
    requiredLimits,
  });
  const opened = new OpenDevice(open, device, platform, { kernelKind, matrixUnits });
  try {
    const told = `${open.facts.name} ${open.facts.driver}`;
    opened.lanesInOrder = await lanesFollowInvocations(device, opened.state, told);
    // A CPU adapter unpacks halves by more than a table takes.
    if (opened.kernelsFor === 'gpu') {
      opened.smallHalves = await keepsSmallHalves(device, opened.state, told);
    }
  } catch (error) {
    opened.close();
    throw error;
  }
  return new Gpu(opened);
}

/** How a buffer is bound: `parts` may be larger than a binding. */
export type Bound = 'whole' | 'parts';

/**
 * An open device with its buffers, compiled kernels and command lists. `openGpu` makes one, `under` further views of
 * it, which share everything but their signal.
 */
export class Gpu implements DeviceContext {
  readonly device: GPUDevice;
  readonly facts: AdapterFacts;
  /**
   * Kernels and what is compiled into them are chosen as for this kind of hardware: that of the adapter, or the one that
   * the platform was told. An adapter that does not say what it is gets the small workgroups of a CPU's.
   */
  readonly kernelsFor: KernelKind;
  readonly limits: GPUSupportedLimits;
  /** What a subgroup multiplies in one step; empty where the adapter lists no matrix units. */
  readonly matrixUnits: readonly MatrixUnit[];
  readonly ledger: MemoryLedger;
  readonly pipelines: PipelineCache;
  readonly bindGroups: BindGroupCache;
  readonly params: ParamArena;
  readonly queries: QueryPool;
  readonly platform: Platform;
  readonly state: DeviceState;
  /** Of the view: once it was aborted, whatever compiles, records, submits or waits through it throws a CancelledError. */
  readonly signal: AbortSignal | undefined;
  readonly #opened: OpenDevice;

  constructor(opened: OpenDevice, signal?: AbortSignal, ledger = opened.ledger) {
    this.#opened = opened;
    this.device = opened.device;
    this.facts = opened.facts;
    this.kernelsFor = opened.kernelsFor;
    this.matrixUnits = opened.matrixUnits;
    this.limits = opened.device.limits;
    this.ledger = ledger;
    this.pipelines = opened.pipelines;
    this.bindGroups = opened.bindGroups;
    this.params = opened.params;
    this.queries = opened.queries;
    this.platform = opened.platform;
    this.state = opened.state;
    this.signal = signal;
  }

  /** The same device for work that `signal` calls off, beside the view's own. Undefined: the view itself. */
  under(signal: AbortSignal | undefined): Gpu {
    return signal === undefined ? this : new Gpu(this.#opened, anyOf(this.signal, signal), this.ledger);
  }

  /** The same device, with a ledger of what is made through this view alone. */
  accounted(): Gpu {
    return new Gpu(this.#opened, this.signal, new MemoryLedger(this.ledger));
  }

  /** @throws CancelledError when the work was called off. @throws DeviceError when the device is lost or closed. */
  requireUsable(): void {
    throwIfCancelled(this.signal);
    this.state.check();
  }

  /** Asked where a kernel is chosen and none is named; undefined: the defaults of each family. One for all views. */
  get tuning(): Tuning | undefined {
    return this.#opened.tuning;
  }

  set tuning(tuning: Tuning | undefined) {
    this.#opened.tuning = tuning;
  }

  /** Its f32 peak: assumed until somebody who has measured sets it, as `measureCeilings` does. One for all views. */
  get peak(): Peak {
    return this.#opened.peak;
  }

  set peak(peak: Peak) {
    this.#opened.peak = peak;
  }

  /** FLOP of one dispatch at most: half a second of the peak, so that no watchdog ends it. Setting it sets the peak. */
  get mostDispatchFlops(): number {
    return longestDispatch(this.peak);
  }

  set mostDispatchFlops(flops: number) {
    this.peak = peakOfLongest(flops);
  }

  /** Whether lane i of a subgroup is the i-th of its invocations: probed when the device was opened. True without subgroups. */
  get lanesInOrder(): boolean {
    return this.#opened.lanesInOrder;
  }

  /** Whether MXFP4 is read by way of f16, whose least numbers a GPU was found to keep. */
  get readsBySmallHalves(): boolean {
    return this.#opened.smallHalves;
  }

  has(feature: GPUFeatureName): boolean {
    return this.device.features.has(feature);
  }

  /** Whether shaders may use a feature of WGSL that is no device's: 'packed_4x8_integer_dot_product'. */
  speaks(languageFeature: string): boolean {
    return this.#opened.languageFeatures.has(languageFeature);
  }

  now(): number {
    return this.platform.now();
  }

  /**
   * Lanes that should share one row of a reduction: a GPU hides a barrier behind other workgroups; a CPU adapter
   * switches fibres at each, unless the workgroup is one subgroup.
   */
  get rowLanes(): number {
    if (this.kernelsFor === 'gpu') return 64;
    const { subgroupMaxSize = 8 } = this.device.adapterInfo;
    return Math.min(64, Math.max(4, subgroupMaxSize));
  }

  /** Waits of the host for the device so far, see `HostWaits`. The hot path must not raise it. */
  get hostSyncs(): number {
    return this.#opened.waits.count;
  }

  /** The largest buffer that is bound whole, or only part by part. */
  mostBytes(bound: Bound = 'whole'): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.limits;
    return bound === 'whole' ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
  }

  /**
   * Zeroed storage of at least `bytes` bytes (rounded up to 16).
   * @throws ConfigError when it is larger than the adapter can bind, or make where no binding holds all of it.
   * @throws DeviceError when the device is lost or closed, as every other method.
   */
  buffer(label: string, bytes: number, bound: Bound = 'whole'): GpuBuffer {
    this.state.check();
    const size = bufferBytes(bytes);
    const limit = this.mostBytes(bound);
    if (!(bytes >= 0)) throw new ConfigError(`${label} needs ${bytes} bytes; that is no size of a buffer.`);
    if (!(size <= limit)) {
      throw new ConfigError(
        `${label} needs ${formatBytes(size)}, but ${this.facts.name} binds at most ${formatBytes(limit)} at once. ` +
          `Use smaller sizes, a narrower dtype, or a layout with more ranks.`,
      );
    }
    const id = this.#opened.newId();
    const handle = this.device.createBuffer({ label, size, usage: STORAGE });
    this.ledger.add(id, { label, bytes: size });
    return new GpuBuffer(id, label, handle, (b) => {
      this.ledger.remove(b.id);
      this.bindGroups.forget(b.id);
    });
  }

  /** A buffer for `count` elements of a dtype. */
  elements(label: string, count: number, dtype: Dtype = 'f32', bound: Bound = 'whole'): GpuBuffer {
    return this.buffer(label, count * BYTES_OF[dtype], bound);
  }

  upload(label: string, data: TensorData, bound: Bound = 'whole'): GpuBuffer {
    const bytes = bytesOf(data, label);
    const buffer = this.buffer(label, bytes.byteLength, bound);
    this.#write(buffer.view(), bytes);
    return buffer;
  }

  /**
   * Queues a write; it happens before everything that is submitted later. The data is copied now.
   * @throws ConfigError when the data is longer than the target, or its array was transferred away.
   */
  write(target: Bindable, data: TensorData): void {
    const view = viewOf(target);
    const bytes = bytesOf(data, view.buffer.label);
    checkView(view, bytes.byteLength, `Writing ${view.buffer.label}`);
    this.#write(view, bytes);
  }

  #write({ buffer, byteOffset }: BufferView, bytes: Uint8Array<ArrayBuffer>): void {
    this.state.check();
    if (bytes.byteLength === 0) return;
    let words = bytes;
    if (bytes.byteLength % 4 !== 0) {
      words = new Uint8Array(roundUp(bytes.byteLength, 4));
      words.set(bytes);
    }
    this.device.queue.writeBuffer(buffer.handle, byteOffset, words);
  }

  async kernel<D extends KernelDefinition>(
    definition: D,
    spec: SpecChange<D['spec']> = {},
  ): Promise<Kernel<D>> {
    this.state.check();
    throwIfCancelled(this.signal);
    const merged = { ...definition.spec, ...spec } as D['spec'] & Spec;
    // Who else asks for it gets it all the same.
    const compiled = await unlessCancelled(this.pipelines.get(definition, merged), this.signal);
    return { definition, spec: merged, compiled };
  }

  commands(label: string, timing: TimingDetail = 'none'): CommandList {
    return new CommandList(this, label, timing);
  }

  /** Waits for all submitted work. @throws DeviceError for anything the device reported since the last call. */
  async sync(): Promise<void> {
    this.requireUsable();
    const done = this.device.queue.onSubmittedWorkDone();
    await this.state.wait('Waiting for submitted work', done, this.signal);
    this.throwPending();
  }

  /** Waits until the device has copied all that was written: a queue holds it until then. */
  async flush(): Promise<void> {
    this.state.check();
    this.device.queue.submit([]);
    await this.sync();
  }

  /** @throws DeviceError for what the device has reported since the last call, and for its loss each time. */
  throwPending(): void {
    this.state.throwPending();
  }

  /**
   * Copies a buffer's first elements to the host: one host sync.
   * @throws ConfigError when the source has fewer.
   * @throws DeviceError for anything the device reported since the last call.
   */
  async read(source: Bindable, shape: readonly number[], dtype: Dtype = 'f32'): Promise<Tensor> {
    this.requireUsable();
    const view = viewOf(source);
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = count * BYTES_OF[dtype];
    checkView(view, bytes, `Reading [${shape.join(', ')}] of ${dtype} from ${view.buffer.label}`);
    if (bytes === 0) return tensor(dtype, shape, arrayOf(dtype, new ArrayBuffer(0)));
    const size = roundUp(bytes, 4);
    const staging = this.device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    const end = this.ledger.hold('staging', size);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(view.buffer.handle, view.byteOffset, staging, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await this.state.wait(`Reading ${view.buffer.label}`, staging.mapAsync(MAP_MODE.READ), this.signal);
      this.throwPending();
      return tensor(dtype, shape, arrayOf(dtype, staging.getMappedRange().slice(0, bytes)));
    } finally {
      staging.destroy();
      end();
    }
  }

  /** The device ends after this work, which writes memory of its: not under its hands. */
  holdUntil(work: Promise<unknown>): void {
    this.#opened.holdUntil(work);
  }

  /** Ends the device, for all views. Whoever waits for it is told; harmless when it is ended already. */
  destroy(): void {
    this.#opened.close();
  }
}

/**
 * The runtime's table of contents: one device with its buffers, compiled kernels and command lists.
 * It knows WebGPU and has never heard of experts.
 */
import { bufferBytes } from '../core/buffer-bytes.ts';
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { roundUp } from '../core/math.ts';
import { formatBytes } from '../core/units.ts';
import type { AdapterFacts, KernelKind, OpenAdapter, Platform } from '../platform/platform.ts';
import { BYTES_OF, bytesOf, type Dtype, type Tensor, type TensorData, tensor } from '../tensor/tensor.ts';
import { BindGroupCache } from './bind-groups.ts';
import { type Bindable, type BufferView, GpuBuffer, checkView, viewOf } from './buffer.ts';
import { CommandList, type TimingDetail } from './command-list.ts';
import type { DeviceContext, Kernel } from './context.ts';
import { DeviceState } from './device-state.ts';
import { BUFFER_USAGE, MAP_MODE } from './flags.ts';
import { HostWaits } from './host-waits.ts';
import type { KernelDefinition, SpecChange } from './kernel.ts';
import { MemoryLedger } from './ledger.ts';
import { ParamArena } from './param-arena.ts';
import { QueryPool } from './query-pool.ts';
import { PipelineCache } from './shader/pipeline-cache.ts';
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
  const device = await adapter.requestDevice({
    requiredFeatures: WANTED_FEATURES.filter((f) => adapter.features.has(f)),
    requiredLimits,
  });
  return new Gpu(open, device, platform, kernelKind);
}

/** How a buffer is bound: `parts` may be larger than a binding. */
export type Bound = 'whole' | 'parts';

/** An open device with its buffers, compiled kernels and command lists. `openGpu` makes one. */
export class Gpu implements DeviceContext {
  readonly device: GPUDevice;
  readonly facts: AdapterFacts;
  /**
   * Kernels and what is compiled into them are chosen as for this kind of hardware: that of the adapter, or the one that
   * the platform was told. An adapter that does not say what it is gets the small workgroups of a CPU's.
   */
  readonly kernelsFor: KernelKind;
  readonly limits: GPUSupportedLimits;
  readonly ledger = new MemoryLedger();
  readonly pipelines: PipelineCache;
  readonly bindGroups: BindGroupCache;
  readonly params: ParamArena;
  readonly queries: QueryPool;
  readonly platform: Platform;
  readonly state: DeviceState;
  /** Asked where a kernel is chosen and none is named; undefined: the defaults of each family. */
  tuning: Tuning | undefined;
  /** Keeps the bindings' root object alive as long as the device (see OpenAdapter.gpu). */
  readonly #open: OpenAdapter;
  readonly #waits: HostWaits;
  #nextId = 1;
  #closed = false;

  constructor(open: OpenAdapter, device: GPUDevice, platform: Platform, kernelKind?: KernelKind) {
    this.#open = open;
    this.device = device;
    const own = open.facts.kind === 'gpu' ? 'gpu' : 'software';
    this.kernelsFor = kernelKind ?? own;
    this.facts =
      this.kernelsFor === own
        ? open.facts
        : {
            ...open.facts,
            kernels: this.kernelsFor,
            search: [
              ...open.facts.search,
              `Kernels are chosen as for kind ${this.kernelsFor}, as was asked.`,
            ],
          };
    this.limits = device.limits;
    this.platform = platform;
    this.state = new DeviceState(device, open.facts.name);
    this.#waits = new HostWaits(device, (work) => platform.whileWaiting?.(work));
    this.pipelines = new PipelineCache(
      device,
      this.state,
      (path) => platform.shaderSource(path),
      () => platform.now(),
    );
    this.bindGroups = new BindGroupCache(device);
    this.params = new ParamArena(device, this.pipelines.paramsLayout, this.ledger);
    this.queries = new QueryPool(device, this.ledger);
    void device.lost.then(() => this.queries.destroy());
  }

  has(feature: GPUFeatureName): boolean {
    return this.device.features.has(feature);
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
    return this.#waits.count;
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
    const id = this.#nextId++;
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
    const merged = { ...definition.spec, ...spec } as D['spec'] & Spec;
    return { definition, spec: merged, compiled: await this.pipelines.get(definition, merged) };
  }

  commands(label: string, timing: TimingDetail = 'none'): CommandList {
    return new CommandList(this, label, timing);
  }

  /** Waits for all submitted work. @throws DeviceError for anything the device reported since the last call. */
  async sync(): Promise<void> {
    this.state.check();
    await this.state.wait('Waiting for submitted work', this.device.queue.onSubmittedWorkDone());
    this.throwPending();
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
    this.state.check();
    const view = viewOf(source);
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = count * BYTES_OF[dtype];
    checkView(view, bytes, `Reading [${shape.join(', ')}] of ${dtype} from ${view.buffer.label}`);
    if (bytes === 0) return tensor(dtype, shape, typedArray(dtype, new ArrayBuffer(0)));
    const size = roundUp(bytes, 4);
    const staging = this.device.createBuffer({ size, usage: MAP_READ | COPY_DST });
    const end = this.ledger.hold('staging', size);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(view.buffer.handle, view.byteOffset, staging, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await this.state.wait(`Reading ${view.buffer.label}`, staging.mapAsync(MAP_MODE.READ));
      this.throwPending();
      return tensor(dtype, shape, typedArray(dtype, staging.getMappedRange().slice(0, bytes)));
    } finally {
      staging.destroy();
      end();
    }
  }

  /** Ends the device. Whoever waits for it is told; harmless when it is ended already. */
  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.state.close();
    this.params.destroy();
    this.queries.destroy();
    this.device.destroy();
    this.platform.deviceClosed?.();
    void this.#open;
  }
}

function typedArray(dtype: Dtype, bytes: ArrayBuffer): TensorData {
  switch (dtype) {
    case 'f32':
      return new Float32Array(bytes);
    case 'f16':
      return new Uint16Array(bytes);
    case 'i32':
      return new Int32Array(bytes);
    case 'u32':
      return new Uint32Array(bytes);
    case 'f64':
      return new Float64Array(bytes);
    case 'i8':
      return new Int8Array(bytes);
    case 'u8':
      return new Uint8Array(bytes);
  }
}

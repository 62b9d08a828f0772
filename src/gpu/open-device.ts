/** What all views of an open device share: see `Gpu`. */
import { assumedPeak, type Peak } from '../core/peak.ts';
import type { AdapterFacts, KernelKind, OpenAdapter, Platform } from '../platform/platform.ts';
import { BindGroupCache } from './bind-groups.ts';
import { DeviceState } from './device-state.ts';
import { HostWaits } from './host-waits.ts';
import { MemoryLedger } from './ledger.ts';
import type { MatrixUnit } from './shader/matrices.ts';
import { ParamArena } from './param-arena.ts';
import { QueryPool } from './query-pool.ts';
import { PipelineCache } from './shader/pipeline-cache.ts';
import type { Tuning } from './tuning.ts';

/** What was known before the device was open. */
export interface Known {
  /** Asked for; by default the adapter's own. */
  readonly kernelKind?: KernelKind | undefined;
  /** The adapter's. */
  readonly matrixUnits?: readonly MatrixUnit[];
}

export class OpenDevice {
  readonly device: GPUDevice;
  readonly facts: AdapterFacts;
  readonly kernelsFor: KernelKind;
  readonly matrixUnits: readonly MatrixUnit[];
  readonly ledger = new MemoryLedger();
  readonly pipelines: PipelineCache;
  readonly bindGroups: BindGroupCache;
  readonly params: ParamArena;
  readonly queries: QueryPool;
  readonly platform: Platform;
  readonly state: DeviceState;
  readonly waits: HostWaits;
  tuning: Tuning | undefined;
  /** See `Gpu`. */
  peak: Peak;
  /** See `Gpu`. */
  lanesInOrder = true;
  /** See `Gpu`. */
  smallHalves = false;
  /** Keeps the bindings' root object alive as long as the device (see OpenAdapter.gpu). */
  readonly #open: OpenAdapter;
  /** Work that writes memory of the device, which must not go meanwhile. */
  readonly #writing = new Set<Promise<unknown>>();
  #nextId = 1;
  #closed = false;

  constructor(
    open: OpenAdapter,
    device: GPUDevice,
    platform: Platform,
    { kernelKind, matrixUnits = [] }: Known = {},
  ) {
    this.#open = open;
    this.device = device;
    this.matrixUnits = matrixUnits;
    const own = open.facts.kind === 'gpu' ? 'gpu' : 'software';
    this.kernelsFor = kernelKind ?? own;
    this.peak = assumedPeak(own);
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
    this.platform = platform;
    this.state = new DeviceState(device, open.facts.name);
    this.waits = new HostWaits(device, (work) => platform.whileWaiting?.(work));
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

  /** Features of WGSL that are no device's. */
  get languageFeatures(): WGSLLanguageFeatures {
    return this.#open.gpu.wgslLanguageFeatures;
  }

  /** Of a buffer. */
  newId(): number {
    return this.#nextId++;
  }

  holdUntil(work: Promise<unknown>): void {
    this.#writing.add(work);
    const over = (): void => void this.#writing.delete(work);
    work.then(over, over);
  }

  /** Harmless when it is closed already. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.state.close();
    this.params.destroy();
    this.queries.destroy();
    if (this.#writing.size === 0) this.#destroy();
    else void Promise.allSettled(this.#writing).then(() => this.#destroy());
  }

  #destroy(): void {
    this.device.destroy();
    this.platform.deviceClosed?.();
    void this.#open;
  }
}

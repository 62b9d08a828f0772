/** Two timestamps per compute pass, read back once at the end. */
import { at } from '../core/math.ts';

/** The specification's largest query set has 4,096 queries. */
const SPANS_PER_SET = 2048;

export interface SpanTime {
  readonly label: string;
  /** GPU time in ns; undefined when the clock went backwards within the pass (the reading is void). */
  readonly ns: number | undefined;
  readonly beginNs: bigint;
  readonly endNs: bigint;
}

export class SpanTimer {
  readonly #device: GPUDevice;
  readonly #sets: GPUQuerySet[] = [];
  readonly #labels: string[] = [];
  #staging: GPUBuffer | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  begin(label: string): GPUComputePassTimestampWrites {
    const index = this.#labels.length;
    this.#labels.push(label);
    if (index % SPANS_PER_SET === 0) {
      this.#sets.push(this.#device.createQuerySet({ type: 'timestamp', count: 2 * SPANS_PER_SET }));
    }
    const slot = 2 * (index % SPANS_PER_SET);
    return {
      querySet: at(this.#sets, this.#sets.length - 1),
      beginningOfPassWriteIndex: slot,
      endOfPassWriteIndex: slot + 1,
    };
  }

  resolve(encoder: GPUCommandEncoder): void {
    if (this.#labels.length === 0) return;
    const bytes = 16 * SPANS_PER_SET * this.#sets.length;
    const resolved = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.#staging = this.#device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    this.#sets.forEach((set, i) => {
      const spans = Math.min(SPANS_PER_SET, this.#labels.length - i * SPANS_PER_SET);
      encoder.resolveQuerySet(set, 0, 2 * spans, resolved, 16 * SPANS_PER_SET * i);
    });
    encoder.copyBufferToBuffer(resolved, 0, this.#staging, 0, bytes);
  }

  async read(): Promise<SpanTime[]> {
    if (this.#staging === undefined) return [];
    await this.#staging.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(this.#staging.getMappedRange());
    const spans = this.#labels.map((label, i) => {
      const beginNs = at(times, 2 * i);
      const endNs = at(times, 2 * i + 1);
      return { label, beginNs, endNs, ns: endNs >= beginNs ? Number(endNs - beginNs) : undefined };
    });
    this.#staging.destroy();
    for (const set of this.#sets) set.destroy();
    return spans;
  }
}

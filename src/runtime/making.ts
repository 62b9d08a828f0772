/** What may call the making of an engine off, and lets others have the thread meanwhile; nothing of it outlives the making. */
import { breathe, onAbort } from '../core/async/cancel.ts';
import type { Gpu } from '../gpu/gpu.ts';

/** The host works so long without a rest, ms: a message or a signal waits no longer. A guess. */
const WORK_MS = 30;

export class Making {
  /** What kernels are compiled with: the caller's signal may be aborted later for another reason. */
  readonly gpu: Gpu;
  readonly #ended = new AbortController();
  /** Ends the following of the caller's signal. */
  readonly end: () => void;
  #since = performance.now();

  constructor(gpu: Gpu, signal: AbortSignal | undefined) {
    this.end = onAbort(signal, () => this.#ended.abort(signal?.reason));
    this.gpu = gpu.under(this.#ended.signal);
  }

  /** To be called between pieces of work on the host. @throws CancelledError when the making was called off. */
  async rest(): Promise<void> {
    if (performance.now() - this.#since > WORK_MS) {
      await breathe();
      this.#since = performance.now();
    }
    this.gpu.requireUsable();
  }
}

/** What one forward step is asked for, and what it gives. */
import type { TimingDetail } from '../../gpu/command-list.ts';
import type { HostTime } from './host-times.ts';
import type { StepSpanTime } from './span.ts';
import type { LaterTimes, SubmitTimes } from './timed-lists.ts';
import type { ExpertRows } from './trace.ts';

/** What a step gives besides the last logits: by default nothing more, and no timing. */
export interface StepOptions {
  /** Logits of each request's last new token, or of all. */
  readonly logits?: 'last' | 'all';
  /** Read the chosen experts back at the end of the step. */
  readonly experts?: boolean;
  /** Read the residual stream after every layer back at the end of the step. */
  readonly hidden?: boolean;
  readonly timing?: TimingDetail;
  /**
   * Give every rank projections and logits of its own, as on a device of its own. Otherwise the rows of ranks that hold the same
   * weights are multiplied with them once. Experts of an EP group share dispatches either way: see `mostOwners`.
   */
  readonly apart?: boolean;
  /** Leave the times of passes on the device, for `later`: reading them waits for it. */
  readonly timesLater?: boolean;
  /** Calls the step off: it is rejected with a CancelledError, and the sequences are as long as they were before. */
  readonly signal?: AbortSignal;
}

/** The logits of a step, and how it ran. V vocabulary, K experts per token; rows are new tokens. */
export interface StepResult {
  /** Per request [rows, V]. */
  readonly logits: readonly Float32Array[];
  /** Per request and layer [tokens, K], by descending score; only when asked for. */
  readonly experts?: readonly (readonly Uint32Array[])[];
  /** Per request and layer [tokens, D]: the residual stream after it; only when asked for. */
  readonly hidden?: readonly (readonly Float32Array[])[];
  /** Rows that the experts of each rank received; only when `experts` was asked for. */
  readonly expertRows?: readonly ExpertRows[];
  readonly microBatches: number;
  readonly dispatches: number;
  /** How often the host waited between the first dispatch and the last: 0 on one device. */
  readonly hostSyncsInLayers: number;
  /** GPU time of the passes in order of recording; empty unless asked for. */
  readonly spans: readonly StepSpanTime[];
  /** Between which moments the passes of each list ran; empty unless asked for. */
  readonly submits: readonly SubmitTimes[];
  /** What `spans` and `submits` will be, with `timesLater`: to be read or discarded by whoever asked for it. */
  readonly later?: LaterTimes<StepSpanTime>;
  /** What the host did in `hostNs`. */
  readonly host: readonly HostTime[];
  /** Host time from planning the step to having the logits, ns. */
  readonly hostNs: number;
}

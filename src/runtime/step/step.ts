/** What one forward step is asked for, and what it gives. */
import type { TimingDetail } from '../../gpu/command-list.ts';
import type { Run } from '../../layout/layout.ts';
import type { HostTime } from './host-times.ts';
import type { StepSpanTime } from './span.ts';

/** What a step gives besides the last logits: by default nothing more, and no timing. */
export interface StepOptions {
  /** Logits of each request's last new token, or of all. */
  readonly logits?: 'last' | 'all';
  /** Read the chosen experts back at the end of the step. */
  readonly experts?: boolean;
  readonly timing?: TimingDetail;
}

/** The logits of a step, and how it ran. V vocabulary, K experts per token; rows are new tokens. */
export interface StepResult {
  /** Per request [rows, V]. */
  readonly logits: readonly Float32Array[];
  /** Per request and layer [tokens, K], by descending score; only when asked for. */
  readonly experts?: readonly (readonly Uint32Array[])[];
  readonly microBatches: number;
  readonly dispatches: number;
  /** How often the host waited between the first dispatch and the last: 0 on one device. */
  readonly hostSyncsInLayers: number;
  /** GPU time of the passes in order of recording; empty unless asked for. */
  readonly spans: readonly StepSpanTime[];
  /** When each list was sent, by the host's clock in ns, and which spans it holds: none of them ran earlier. */
  readonly submits: readonly { readonly submittedNs: number; readonly spans: Run }[];
  /** What the host did in `hostNs`. */
  readonly host: readonly HostTime[];
  /** Host time from planning the step to having the logits, ns. */
  readonly hostNs: number;
}

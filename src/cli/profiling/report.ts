/** What `profile` gives: as JSON, to the terminal, and to a page. */
import type { AttrValue } from '../../ops/op.ts';
import type { Summary } from '../../measure/statistics.ts';
import type { AdapterFacts } from '../../platform/platform.ts';
import type { HostOffset } from '../../profile/host-offset.ts';
import type { LinkedExchange } from '../../profile/links.ts';
import type { ProfileDetail } from '../../profile/profile.ts';
import type { RatedRow } from '../../profile/rates.ts';
import type { RoutingAccount } from '../../runtime/engine.ts';
import type { RankTime, StageSlot } from '../../runtime/step/virtual-cluster.ts';
import type { TuningUse } from '../tuning.ts';
import type { TensorFact } from '../verbs/op.ts';
import type { AskedRouting } from '../verbs/routing/engine-options.ts';

/** What the model was that ran, and on how many ranks. */
export interface ProfiledModel {
  readonly model: string;
  readonly layout: string;
  readonly worldSize: number;
  readonly weights: string;
  readonly cache: string;
  /** Placement, capacity, policy and rate of the bias, as they were given. */
  readonly routing?: AskedRouting;
}

export interface ProfiledStep extends ProfiledModel {
  readonly what: 'step';
  readonly step: string;
  /** Sequences, and new tokens of each prompt. */
  readonly batch: number;
  readonly tokens: number;
  readonly microBatches: number;
}

export interface ProfiledGeneration extends ProfiledModel {
  readonly what: 'generate';
  readonly promptTokens: number;
  /** That were added. */
  readonly tokens: number;
}

export interface ProfiledOp {
  readonly what: 'op';
  readonly op: string;
  readonly variant: string;
  readonly attrs: Readonly<Record<string, AttrValue>>;
  readonly inputs: readonly TensorFact[];
  /** The file of its tensors, or the name of a case. */
  readonly from: string;
  /** What it costs at least, modelled. */
  readonly flop: number;
  readonly bytes: number;
}

export type Profiled = ProfiledStep | ProfiledGeneration | ProfiledOp;

/** Where the wall time of one run went, and what measuring it cost. All times in ns. */
export interface ProfileTimes {
  readonly adapter: AdapterFacts;
  readonly tuning: TuningUse;
  readonly detail: ProfileDetail;
  /** One instrumented run: the times of `rows` add up to it. */
  readonly wallNs: number;
  /** What can be won first. */
  readonly rows: readonly RatedRow[];
  /** Of a generation: prefill and decode. Their times add up to the run as well, but for what lies in neither. */
  readonly parts: readonly { readonly part: string; readonly wallNs: number; readonly steps: number }[];
  readonly voidPasses: number;
  /** Rows that were dropped and moved in all runs; of a model with a placement, a capacity or a bias. */
  readonly rowsRouted?: RoutingAccount;
  /** Between the two clocks; absent without timestamps. */
  readonly offset?: HostOffset;
  /** By rank, the slowest first, if each had a device of its own and links cost nothing, or what `links` says; none of an op. */
  readonly ranks: readonly (RankTime & { readonly globalRank: number })[];
  readonly clusterNs: number;
  /** The hardware whose links are modelled, and its exchanges, of each kind the largest. Absent where links are free. */
  readonly links?: {
    readonly hardware: string;
    readonly title: string;
    readonly source: string;
    readonly exchanges: readonly LinkedExchange[];
  };
  /** The same pipeline, by stage and micro-batch of each step, as the slowest ranks let it. */
  readonly pipeline: readonly StageSlot[];
  /** Outside of the run: the union of the kernels' compilations, and what the first run took beyond a later one. */
  readonly compileNs: number;
  readonly firstUseNs: number;
  readonly bareNs: readonly number[];
  readonly instrumentedNs: readonly number[];
  readonly cost: Summary & { readonly resolved: boolean };
}

/** What was profiled, and where its time went. */
export type ProfileReport = Profiled & ProfileTimes;

/** From what was found to the result: at the end of a run, or of as much of it as there was. */
import { invariant } from '../core/errors.ts';
import type { AdapterExamination } from './examine.ts';
import type { BenchClock } from '../measure/stopwatch.ts';
import type { CacheSize } from '../measure/cold.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { formatLayout, type LayoutSpec } from '../layout/spec.ts';
import { planLayout } from '../layout/layout.ts';
import { loadBetween } from '../measure/load.ts';
import { summarise } from '../measure/statistics.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { presetNamed } from '../model/presets.ts';
import type { CpuTimes } from '../platform/platform.ts';
import { holdToRoof } from './ceilings/above-roof.ts';
import type { Ceilings } from './ceilings/ceilings.ts';
import type { HostTiming } from './host-tasks.ts';
import type { KernelChecks } from './kernels/check.ts';
import type { KernelTimings } from './kernels/suite.ts';
import type { CardRate } from './model/card-rate.ts';
import type { GrowthResult } from './model/growth.ts';
import type { ModelReport } from './model/check.ts';
import type { ForwardComparison } from './model/sharded.ts';
import { compareWithTarget, tokensPerMs, usefulFlopsPerSecond } from './model/throughput.ts';
import {
  RESULT_SCHEMA,
  RESULT_VERSION,
  type BenchRates,
  type BenchResult,
  type BenchTuning,
} from './result.ts';
import type { Interruption } from './progress.ts';
import { verdictOf } from './verdict.ts';

/** What a run was asked for, and what of it is there: null when it was left out, absent as long as it has not come. */
export interface Findings {
  readonly quick: boolean;
  readonly layout: LayoutSpec;
  readonly model: Checkpoint;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string | null;
  readonly cold: CacheSize | null;
  readonly tuning: BenchTuning | null;
  readonly startNs: number;
  readonly cpuBefore: CpuTimes | undefined;
  adapter?: AdapterExamination;
  clock?: BenchClock;
  ceilings?: Ceilings;
  checked?: KernelChecks;
  modelReport?: ModelReport | null;
  forward?: ForwardComparison | null;
  timed?: KernelTimings;
  card?: CardRate | null;
  growth?: readonly GrowthResult[];
  host?: readonly HostTiming[];
}

/** Of a run without rows. */
const NO_ROWS: Omit<KernelTimings, 'rounds'> & { rounds: null } = { rows: [], rounds: null, canary: null };

/** Once its clock was chosen. @param interrupted of a run that has not come to its end. */
export function resultOf(gpu: Gpu, found: Findings, interrupted?: Interruption): BenchResult {
  const { adapter, clock, layout, model, ceilings = [], timed = NO_ROWS, host = [] } = found;
  invariant(adapter !== undefined && clock !== undefined, () => 'a result before the adapter was examined');
  const { modelReport = null, forward = null, card = null } = found;
  const { families = [], notRun = 0, registered = [] } = found.checked ?? {};
  const kernels = holdToRoof(timed.rows, ceilings);
  const checks = {
    ...{ kernels: families, notRun, model: modelReport },
    ...(registered.length > 0 && { registered }),
  };
  const verdict = verdictOf({ adapter, checks, ceilings, kernels, forward, card, interrupted });
  return {
    schema: RESULT_SCHEMA,
    version: RESULT_VERSION,
    runId: crypto.randomUUID(),
    date: new Date().toISOString(),
    quick: found.quick,
    layout: formatLayout(layout),
    model: model.config.name,
    commit: found.commit,
    versions: found.versions,
    ...{ adapter, clock, ceilings, pass: verdict.outcome === 'pass', checks, kernels },
    ...{ rounds: timed.rounds, canary: timed.canary },
    load: loadBetween(found.cpuBefore, gpu.platform.cpuTimes?.()),
    ...{ cold: found.cold, tuning: found.tuning },
    ...(found.growth && { growth: found.growth }),
    forward,
    rates: forward === null ? null : ratesOf(model, forward),
    target: compareWithTarget(presetNamed('card').config, layout, planLayout(layout, model.config).worldSize),
    ...{ card, host, verdict },
    ...(interrupted !== undefined && { interrupted }),
    wallNs: gpu.platform.now() - found.startNs,
    sources: {
      ...{ ceilings: 'measured', kernels: 'measured', forward: 'measured', rates: 'measured' },
      ...{ target: 'modelled', card: 'measured', host: 'measured' },
    },
  };
}

/** Each sequence starts from nothing, so its tokens attend to 1 to `tokensPerSequence` positions. */
export function ratesOf(model: Pick<Checkpoint, 'config'>, forward: ForwardComparison): BenchRates | null {
  const { sharded, unsharded, tokens, tokensPerSequence } = forward;
  if (sharded === undefined || unsharded === undefined) return null;
  const ns = summarise(sharded.samplesNs).median;
  const meanKvLength = (tokensPerSequence + 1) / 2;
  return {
    clock: 'host',
    tokensPerMsPerGpu: tokensPerMs(tokens, ns),
    unshardedTokensPerMs: tokensPerMs(tokens, summarise(unsharded.samplesNs).median),
    usefulFlopsPerSecond: usefulFlopsPerSecond(model.config, tokens, meanKvLength, ns),
  };
}

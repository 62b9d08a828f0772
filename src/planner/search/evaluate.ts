/** One layout of a search, simulated: plain data in and out, so that any thread can do it. */
import { ConfigError } from '../../core/errors.ts';
import { ceilDiv } from '../../core/math.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import type { ModelFacts } from '../models/facts.ts';
import { project, type Projection } from '../project/project.ts';
import type { Framework, FrameworkName } from '../serving/framework.ts';
import { worldGpus, type Placement } from '../serving/placement.ts';
import type { Precision } from '../serving/precision.ts';
import type { Routing } from '../serving/routing.ts';
import { SHARES, type Share } from '../simulate/simulate.ts';
import { closedLoop, LEAST_LENGTH, type OpenWorkload } from '../simulate/workload.ts';

/** What all layouts of a search have in common. */
export interface SearchSetting {
  readonly model: ModelFacts;
  readonly hardware: Profile;
  readonly precision: Precision;
  readonly framework: Framework;
  /** Its name, where somebody gave it: without, intervals are wider. */
  readonly named?: FrameworkName;
  readonly routing: Routing;
  /** Tokens in and out, nominal. */
  readonly isl: number;
  readonly osl: number;
  /** Requests that come by themselves; a closed loop without them. */
  readonly arrivals?: OpenWorkload;
  /** Requests at once, of all replicas together, in a closed loop. */
  readonly concurrency: number;
  /** Requests that are simulated, for each that is there at once. */
  readonly rounds: number;
  readonly seed: number;
}

/** What a layout delivers. */
export interface Delivery {
  readonly gpus: number;
  /** Means and 90th percentiles, ms. */
  readonly ttftMs: number;
  readonly ttftP90Ms: number;
  readonly tpotMs: number;
  readonly tpotP90Ms: number;
  readonly e2eMs: number;
  readonly queueingShare: number;
  /** Tokens a second of all GPUs. */
  readonly inputTokensPerS: number;
  readonly outputTokensPerS: number;
  /** Of the fullest rank. */
  readonly memoryBytes: number;
  /** Of all GPU time; they sum to 1. */
  readonly shares: Readonly<Record<Share, number>>;
  readonly events: number;
}

/** Or why it cannot. */
export type Outcome = Delivery | { readonly refused: string };

/**
 * In a closed loop replicas share nothing and take turns, so one of them is simulated, with its part of the requests. Where
 * they do not divide equally it is the fullest, and rates are those of all requests. Other arrivals meet all replicas.
 */
export function evaluate(placement: Placement, setting: SearchSetting): Outcome {
  try {
    return setting.arrivals === undefined
      ? closed(placement, setting)
      : open(placement, setting, setting.arrivals);
  } catch (error) {
    if (error instanceof ConfigError) return { refused: error.message };
    throw error;
  }
}

function open(placement: Placement, setting: SearchSetting, workload: OpenWorkload): Delivery {
  const projection = project({ ...setting, placement, workload });
  return deliveryOf(placement, projection, projection.simulation.shares, 1);
}

function closed(placement: Placement, setting: SearchSetting): Delivery {
  const { isl, osl, concurrency, rounds, seed, ...rest } = setting;
  const { replicas } = placement;
  const working = Math.min(replicas, concurrency);
  const own = ceilDiv(concurrency, working);
  const count = Math.max(own * rounds, own + Math.ceil(16 / working));
  const workload = closedLoop({ input: isl, output: osl, least: LEAST_LENGTH }, own, count, seed);
  const projection = project({ ...rest, placement: { ...placement, replicas: 1 }, workload });
  const busy = concurrency / (own * replicas);
  const shares = { ...projection.simulation.shares };
  for (const share of SHARES) shares[share] *= busy;
  shares.idle += 1 - busy;
  return deliveryOf(placement, projection, shares, concurrency / own);
}

/** @param scale tokens of all requests for each of those that were simulated. */
function deliveryOf(
  placement: Placement,
  { summary, simulation, memoryBytes }: Projection,
  shares: Delivery['shares'],
  scale: number,
): Delivery {
  return {
    gpus: worldGpus(placement),
    ttftMs: summary.ttftMs.mean,
    ttftP90Ms: summary.ttftMs.p90,
    tpotMs: summary.tpotMs.mean,
    tpotP90Ms: summary.tpotMs.p90,
    e2eMs: summary.e2eMs.mean,
    queueingShare: summary.queueingShare,
    inputTokensPerS: summary.inputTokensPerS * scale,
    outputTokensPerS: summary.outputTokensPerS * scale,
    memoryBytes,
    shares,
    events: simulation.events,
  };
}

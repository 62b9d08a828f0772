/** What a simulation comes to: percentiles, rates, queueing. */
import { at } from '../../core/math.ts';
import type { RequestTimes, SimulationResult } from './simulate.ts';

/** ms over the requests. */
export interface Distribution {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface ServingSummary {
  readonly requests: number;
  readonly ttftMs: Distribution;
  /** From the second token on, per token; requests of one token have none. */
  readonly tpotMs: Distribution;
  readonly e2eMs: Distribution;
  /** From when its scheduler could have seen a request to its first schedule. */
  readonly queueingMs: Distribution;
  /** Of the mean TTFT what is queueing. */
  readonly queueingShare: number;
  readonly inputTokensPerS: number;
  readonly outputTokensPerS: number;
}

export function summarise({
  requests,
  horizonUs,
}: Pick<SimulationResult, 'requests' | 'horizonUs'>): ServingSummary {
  const ms = (of: (request: RequestTimes) => number): number[] =>
    requests.map((request) => of(request) / 1e3);
  const ttft = distribution(ms(({ firstUs, arrivalUs }) => firstUs - arrivalUs));
  const queueing = distribution(ms(({ scheduledUs, seenUs }) => Math.max(0, scheduledUs - seenUs)));
  const tokens = (of: (request: RequestTimes) => number): number => {
    let total = 0;
    for (const request of requests) total += of(request);
    return horizonUs > 0 ? total / (horizonUs / 1e6) : 0;
  };
  const longer = requests.filter(({ output }) => output > 1);
  return {
    requests: requests.length,
    ttftMs: ttft,
    tpotMs: distribution(
      longer.map(({ firstUs, lastUs, output }) => (lastUs - firstUs) / 1e3 / (output - 1)),
    ),
    e2eMs: distribution(ms(({ lastUs, arrivalUs }) => lastUs - arrivalUs)),
    queueingMs: queueing,
    queueingShare: ttft.mean > 0 ? queueing.mean / ttft.mean : 0,
    inputTokensPerS: tokens(({ input }) => input),
    outputTokensPerS: tokens(({ output }) => output),
  };
}

/** Percentiles by the nearest rank. */
export function distribution(values: readonly number[]): Distribution {
  if (values.length === 0) return { mean: 0, p50: 0, p90: 0, p99: 0 };
  const sorted = Float64Array.from(values).sort();
  let total = 0;
  for (const value of sorted) total += value;
  const rank = (share: number): number => at(sorted, Math.max(0, Math.ceil(share * sorted.length) - 1));
  return { mean: total / sorted.length, p50: rank(0.5), p90: rank(0.9), p99: rank(0.99) };
}

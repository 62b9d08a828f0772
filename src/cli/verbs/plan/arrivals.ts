/** Requests that come by themselves, by options: from a trace, or by a Poisson process. */
import { csvParse } from 'd3-dsv';
import { ConfigError } from '../../../core/errors.ts';
import { poisson, traceOf, type Lengths, type OpenWorkload } from '../../../planner/simulate/workload.ts';
import { MOST_SEED, requireInteger } from '../../options.ts';
import { platformHere } from '../../session.ts';

export interface ArrivalOptions {
  /** Requests a second, independent of each other, in place of a closed loop. */
  readonly rate?: number;
  /** A CSV file with arrival_s, input_tokens, output_tokens. */
  readonly trace?: string;
  /** Requests that are simulated. */
  readonly requests?: number;
  readonly seed?: number;
}

/** A trace of a million requests has so many bytes. A guess. */
const MOST_TRACE_BYTES = 2 ** 27;
const MOST_REQUESTS = 1_000_000;
/** Requests of a rate, where nobody says how many. A guess. */
const OPEN_REQUESTS = 1000;

/**
 * @returns undefined where neither a rate nor a trace is given: a closed loop.
 * @throws ConfigError for a trace that is none, a rate that is no positive number, or both.
 */
export async function arrivalsOf(
  { rate, trace, requests = OPEN_REQUESTS, seed = 1 }: ArrivalOptions,
  lengths: Lengths,
): Promise<OpenWorkload | undefined> {
  if (trace !== undefined) {
    if (rate !== undefined)
      throw new ConfigError(`trace says when requests come; rate ${rate} would do nothing. Leave one out.`);
    const text = new TextDecoder().decode(await platformHere().readFile(trace, MOST_TRACE_BYTES));
    const table = csvParse(text.replace(/^#.*\n/gm, ''));
    return traceOf(table.columns, table, trace);
  }
  if (rate === undefined) return undefined;
  requireInteger('requests', requests, 1, MOST_REQUESTS);
  requireInteger('seed', seed, 0, MOST_SEED);
  return poisson(lengths, rate, requests, seed);
}

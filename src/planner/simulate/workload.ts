/** Requests: from a trace, by a Poisson process, or in a closed loop. */
import { ConfigError } from '../../core/errors.ts';
import { at } from '../../core/math.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import { seededRandom } from '../../core/random.ts';

/** Tokens in and out of one request, and when it comes, s from the begin. */
export interface RequestShape {
  readonly arrivalS: number;
  readonly input: number;
  readonly output: number;
}

/** Requests that come by themselves, in the order of their arrivals. */
export interface OpenWorkload {
  readonly kind: 'open';
  readonly requests: readonly RequestShape[];
}

export type Workload =
  | OpenWorkload
  /** A request comes when another has gone; arrival times are not read. */
  | { readonly kind: 'closed'; readonly concurrency: number; readonly requests: readonly RequestShape[] };

export interface Lengths {
  readonly input: number;
  readonly output: number;
  /** Lengths are uniform from this share of the nominal ones on; 1: all are equal. */
  readonly least: number;
}

/** Lengths of the calibration's measurements are uniform from this share of the nominal ones on. */
export const LEAST_LENGTH = 0.8;

/** Pairs whose lengths InferenceX draws so. */
const DRAWN = new Set(['1024 1024', '1024 8192', '8192 1024']);

/** Lengths that the requests of a published benchmark have: others send what they name. */
export const lengthsOfBenchmark = (input: number, output: number): Lengths =>
  DRAWN.has(`${input} ${output}`) ? { input, output, least: LEAST_LENGTH } : { input, output, least: 1 };

/** `count` requests of these lengths; the same seed gives the same ones. */
function shapes(
  { input, output, least }: Lengths,
  count: number,
  seed: number,
): { input: number; output: number }[] {
  const random = seededRandom(seed);
  const draw = (nominal: number): number => {
    const low = Math.max(1, Math.ceil(least * nominal));
    return low + random.integer(Math.max(1, nominal - low + 1));
  };
  return Array.from({ length: count }, () => ({ input: draw(input), output: draw(output) }));
}

export function closedLoop(lengths: Lengths, concurrency: number, count: number, seed = 1): Workload {
  const requests = shapes(lengths, count, seed).map((shape) => ({ arrivalS: 0, ...shape }));
  return { kind: 'closed', concurrency, requests };
}

/** Independent arrivals, `rate` a second on average. */
export function poisson(lengths: Lengths, rate: number, count: number, seed = 1): OpenWorkload {
  if (!(rate > 0 && Number.isFinite(rate))) {
    throw new ConfigError(`The rate is ${rate} requests a second; it must be a positive number.`);
  }
  const random = seededRandom(seed + 1);
  let now = 0;
  const requests = shapes(lengths, count, seed).map((shape) => {
    now += -Math.log(1 - random.uniform()) / rate;
    return { arrivalS: now, ...shape };
  });
  return { kind: 'open', requests };
}

/** The most requests of a trace. A guess: a million are simulated within a minute. */
const MOST_REQUESTS = 1_000_000;
const MOST_TOKENS = 16_777_216;
const COLUMNS = ['arrival_s', 'input_tokens', 'output_tokens'] as const;
const ALSO = ['id', 'prefix_blocks_seen', 'queued_s', 'scheduled_s', 'first_token_s', 'last_token_s'];

/**
 * A trace as CSV: arrival_s, input_tokens, output_tokens and, unread, what recorded runs have besides.
 * @param rows the table, read already. @param label names the file in messages.
 * @throws ConfigError for a missing or unknown column, a number that is none, or arrivals out of order.
 */
export function traceOf(
  columns: readonly string[],
  rows: readonly Readonly<Record<string, string>>[],
  label: string,
): OpenWorkload {
  const all = [...COLUMNS, ...ALSO];
  const unknown = columns.find((column) => !all.includes(column));
  if (unknown !== undefined) {
    throw new ConfigError(
      `${label} has a column ${quoted(unknown)}, which a trace has not${didYouMean(unknown, all)}. It has: ${COLUMNS.join(', ')}.`,
    );
  }
  const missing = COLUMNS.find((column) => !columns.includes(column));
  if (missing !== undefined)
    throw new ConfigError(`${label} has no column ${missing}. A trace has: ${COLUMNS.join(', ')}.`);
  if (rows.length === 0) throw new ConfigError(`${label} has no requests.`);
  if (rows.length > MOST_REQUESTS)
    throw new ConfigError(`${label} has ${rows.length} requests; at most ${MOST_REQUESTS} are simulated.`);
  let before = 0;
  const requests = rows.map((row, i) => {
    const number = (column: (typeof COLUMNS)[number], least: number, whole: boolean): number => {
      const text = row[column] ?? '';
      const value = text.trim() === '' ? NaN : Number(text);
      if (value >= least && value <= MOST_TOKENS && (!whole || Number.isInteger(value))) return value;
      throw new ConfigError(
        `${label}, row ${i + 1}: ${column} is ${JSON.stringify(text.slice(0, 60))}; it must be a ${whole ? 'whole number' : 'number'} of at least ${least}.`,
      );
    };
    const arrivalS = number('arrival_s', 0, false);
    if (arrivalS < before) {
      throw new ConfigError(
        `${label}, row ${i + 1}: arrival_s ${arrivalS} is before that of the row above (${before}). Sort the trace by arrival_s.`,
      );
    }
    before = arrivalS;
    return { arrivalS, input: number('input_tokens', 1, true), output: number('output_tokens', 1, true) };
  });
  return { kind: 'open', requests };
}

/** Mean lengths. */
export function meanLengths({ requests }: Workload): { input: number; output: number } {
  const mean = (of: (request: RequestShape) => number): number => {
    let total = 0;
    for (const request of requests) total += of(request);
    return total / requests.length;
  };
  return { input: mean(({ input }) => input), output: mean(({ output }) => output) };
}

/** The first arrivals of a closed loop, the rest as others go. */
export function firstOf(workload: Workload): RequestShape[] {
  if (workload.kind === 'open') return [...workload.requests];
  const { requests, concurrency } = workload;
  return Array.from({ length: Math.min(concurrency, requests.length) }, (_, i) => at(requests, i));
}

/** What trials of `compare` come to, beside what is promised of it. */
import { sum } from '../../src/core/math.ts';
import { formatPercent } from '../../src/core/units.ts';
import { plural } from '../../src/layout/text.ts';
import type { Trial } from './trial.ts';

/** Runs that spread by more do not show 10 %: then it must be called ambiguous, never the same. */
export const CALM = 0.03;
/** Of rows that are the same at most, and of planted slowdowns at least. */
const MOST_NAMED = 0.05;
const LEAST_FOUND = 0.95;

export interface Judgement {
  readonly rows: number;
  readonly named: number;
  /** Trials whose runs spread by at most `CALM`, and in how many of them the slowdown was found. */
  readonly calm: number;
  readonly found: number;
  /** What was said in the others. */
  readonly restless: Readonly<Record<string, number>>;
  readonly same: number;
  /** What is promised and was not kept; undefined where all is. */
  readonly broken?: string;
}

export function judge(trials: readonly Trial[]): Judgement {
  const rows = sum(trials.map((one) => one.rows));
  const named = sum(trials.map((one) => one.named));
  const calm = trials.filter(({ spread }) => spread <= CALM);
  const found = calm.filter(({ word }) => word === 'slower').length;
  const same = trials.filter(({ word }) => word === 'same').length;
  const restless: Record<string, number> = {};
  for (const { spread, word } of trials) if (!(spread <= CALM)) restless[word] = (restless[word] ?? 0) + 1;
  const broken =
    same > 0
      ? 'a slowdown that is there was called the same'
      : named > MOST_NAMED * rows
        ? `more than ${formatPercent(MOST_NAMED)} of rows that are the same were named`
        : found < LEAST_FOUND * calm.length
          ? `fewer than ${formatPercent(LEAST_FOUND)} of the slowdowns were found where runs are calm`
          : undefined;
  return { rows, named, calm: calm.length, found, restless, same, ...(broken !== undefined && { broken }) };
}

export function judgementText({ rows, named, calm, found, restless }: Judgement): string[] {
  const others = Object.entries(restless).map(([word, count]) => `${word} in ${count}`);
  return [
    `Of the same code ${named} of ${plural(rows, 'row')} were named: ${formatPercent(named / rows)} (at most 5 % is promised).`,
    `The planted slowdown was found in ${found} of ${plural(calm, 'trial')} whose runs spread by at most 3 %` +
      (calm === 0 ? '.' : `: ${formatPercent(found / calm)} (at least 95 % is promised).`),
    ...(others.length === 0 ? [] : [`Where they spread by more it was called ${others.join(', ')}.`]),
  ];
}

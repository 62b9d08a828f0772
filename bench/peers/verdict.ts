/** Who is how many times as fast as whom, with an interval, and whether that is what the project aims at. */
import { at } from '../../src/core/math.ts';
import { summarise, type Summary } from '../../src/measure/statistics.ts';
import type { MatchResult, Standing } from './match.ts';
import type { Goal } from './row.ts';

/** `open`: the interval of the ratio holds the goal. `void`: the fast one's result is wrong, or one of them is absent. */
export type Outcome = 'met' | 'missed' | 'open' | 'void';

export interface Verdict extends Goal {
  readonly outcome: Outcome;
  /** Time of the slow over that of the fast, round by round. Absent when one of them is. */
  readonly ratio?: Summary;
}

/** ratioOf([8, 9, 10], [2, 3, 2]) has the samples 4, 3 and 5: each pair is of one round. */
export function ratioOf(slow: readonly number[], fast: readonly number[]): Summary {
  const rounds = Math.min(slow.length, fast.length);
  return summarise(Array.from({ length: rounds }, (_, i) => at(slow, i) / at(fast, i)));
}

export function verdictsOf({ row, standings }: MatchResult): Verdict[] {
  const byName = new Map(standings.map((standing) => [standing.name, standing]));
  return row.goals.map((goal) => verdictOf(goal, byName.get(goal.fast), byName.get(goal.slow)));
}

function verdictOf(goal: Goal, fast: Standing | undefined, slow: Standing | undefined): Verdict {
  if (fast === undefined || slow === undefined) return { ...goal, outcome: 'void' };
  const ratio = ratioOf(slow.samplesNs, fast.samplesNs);
  if (fast.finding.quality === 'wrong') return { ...goal, ratio, outcome: 'void' };
  if (ratio.low >= goal.atLeast) return { ...goal, ratio, outcome: 'met' };
  return { ...goal, ratio, outcome: ratio.high < goal.atLeast ? 'missed' : 'open' };
}

/** What this project does wrong in these rows: it fails to run, or gives a wrong result. */
export function ownFaults(results: readonly MatchResult[]): string[] {
  return results.flatMap(({ row, standings, absent }) => [
    ...absent
      .filter(({ ours }) => ours)
      .map(({ name, reason }) => `${row.group} ${row.name}, ${name}: ${reason}`),
    ...standings
      .filter(({ ours, finding }) => ours && finding.quality === 'wrong')
      .map(({ name, finding }) => `${row.group} ${row.name}, ${name}: ${finding.message ?? 'wrong'}`),
  ]);
}

/** Two sets of runs compared row by row, and what the comparison itself is worth. */
import { requireGiven } from '../core/given.ts';
import { at } from '../core/math.ts';
import { seededRandom } from '../core/random.ts';
import { median } from '../measure/statistics.ts';
import { ALPHA, isNamed, isWorthNaming, leastEffect, wordFor, type Word } from './decide.ts';
import { effectOf, shift, type Effect } from './effect.ts';
import { rankTest } from './rank-test.ts';
import { falseAlarms, holm, jointPValues, relabellings } from './relabel.ts';
import { unitsOf, type CompareRules, type Run, type Units } from './units.ts';

/** One row of a comparison: B beside A. */
export interface ComparedRow extends Effect {
  readonly name: string;
  readonly medianA: number;
  readonly medianB: number;
  /** Of the exact rank test of this row alone. */
  readonly p: number;
  /** With Holm's factor for all rows. */
  readonly pHolm: number;
  /** For all rows together, see `jointPValues`. Absent where rounds are the unit. */
  readonly pJoint?: number;
  /** The smallest effect worth naming in this row: 0.02 is 2 %. */
  readonly least: number;
  readonly word: Word;
  /** Faster or slower also after allowing for all other rows. */
  readonly certain: boolean;
}

/** What two sets of runs say of each other. */
export interface Comparison {
  readonly unit: Units['unit'];
  /** Rounds of one run stand and fall together: what they say is a hint. */
  readonly weak: boolean;
  readonly runsA: number;
  readonly runsB: number;
  readonly drivers: readonly string[];
  /** Adapters and clocks of the runs: more than one only where they were to be set side by side. */
  readonly adapters: readonly string[];
  readonly rows: readonly ComparedRow[];
  readonly missing: Units['missing'];
  /** Share of rows that this comparison names when the same runs are dealt to sides by chance. */
  readonly falseAlarms: number | null;
}

/** Of the draws: the same files give the same answer. */
const SEED = 20260727;

/**
 * Which rows of the runs of two sides differ by more than chance: an exact rank test, the ratio B / A with its interval, and
 * what the comparison itself is worth. The run is the unit from 5 a side on.
 * @throws ConfigError for a side without runs, other adapters, clocks, models or shapes, and runs with no row in common.
 */
export function compareRuns(a: readonly Run[], b: readonly Run[], rules: CompareRules = {}): Comparison {
  requireGiven('Side A', a, 'list');
  requireGiven('Side B', b, 'list');
  requireGiven('The rules', rules, 'record');
  const { unit, rows, missing } = unitsOf(a, b, rules);
  const random = seededRandom(SEED);
  const p = rows.map((row) => rankTest(row.a, row.b).p);
  const adjusted = holm(p);
  const least = rows.map(({ runs }) => leastEffect(runs));
  const logs = rows.map((row) => [...row.a, ...row.b].map(Math.log));
  const byRun = unit === 'run';
  const ways = byRun ? relabellings(a.length, a.length + b.length, random) : [];
  const joint = byRun ? jointPValues(logs, ways) : undefined;
  const compared = rows.map((row, i): ComparedRow => {
    const effect = effectOf(row.a, row.b, random);
    const word = wordFor(effect, at(p, i), at(least, i));
    const pJoint = joint?.[i];
    return {
      name: row.name,
      ...{ medianA: median(row.a), medianB: median(row.b), ...effect },
      ...{ p: at(p, i), pHolm: at(adjusted, i), ...(pJoint !== undefined && { pJoint }) },
      ...{ least: at(least, i), word, certain: isNamed(word) && pJoint !== undefined && pJoint <= ALPHA },
    };
  });
  const alarms = byRun
    ? falseAlarms(logs, a.length, ways, (x, y, i) => {
        return isWorthNaming(Math.exp(shift(x, y)), at(least, i)) && rankTest(x, y).p <= ALPHA;
      })
    : undefined;
  return {
    ...{ unit, weak: !byRun, runsA: a.length, runsB: b.length, rows: compared, missing },
    drivers: [...new Set([...a, ...b].map(({ driver }) => driver))],
    adapters: [...new Set([...a, ...b].map(({ adapter, clock }) => `${adapter} by the ${clock}'s clock`))],
    falseAlarms: alarms ?? null,
  };
}

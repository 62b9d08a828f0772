/** Where a variant of the user's own stands among all that were timed on the same case. */
import { summarise, type Summary } from '../../measure/statistics.ts';
import { medianNs } from '../../measure/timing.ts';
import { ratioOf } from '../model/sharded.ts';
import type { KernelTiming } from './suite.ts';

export interface Rank {
  readonly row: KernelTiming;
  /** 1 is the fastest by its median. */
  readonly place: number;
  readonly of: number;
  /** Its time as a multiple of another's, round by round. */
  readonly against?: { readonly variant: string; readonly ratio: Summary };
}

/** Of each of the user's own that has a time; against the one that is taken by default, if that has one. */
export function rankRegistered(rows: readonly KernelTiming[]): Rank[] {
  return rows.flatMap((row): Rank[] => {
    const ns = medianNs(row.timing);
    if (row.registered !== true || ns === undefined) return [];
    const same = rows.filter(({ family, name }) => family === row.family && name === row.name);
    const times = same.flatMap(({ timing }) => medianNs(timing) ?? []);
    const other = same.find(({ choice }) => choice === 'default');
    const against = other && comparedWith(row, other);
    const place = 1 + times.filter((time) => time < ns).length;
    return [{ row, place, of: times.length, ...(against && { against }) }];
  });
}

function comparedWith(row: KernelTiming, other: KernelTiming): Rank['against'] {
  const [a, b] = [row.timing, other.timing];
  if (a.state !== 'measured' || b.state !== 'measured') return undefined;
  const inTurn = a.samplesNs.length === b.samplesNs.length;
  // Without a round for each sample there is no pair, and no interval.
  const ratio = inTurn
    ? ratioOf(a.samplesNs, b.samplesNs)
    : summarise([summarise(a.samplesNs).median / summarise(b.samplesNs).median]);
  return { variant: other.variant, ratio };
}

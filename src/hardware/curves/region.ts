/** Whether a query lies among the shapes that were measured. */
import { at } from '../../core/math.ts';
import type { Query } from '../queries.ts';
import type { Family, Row } from './family.ts';

/** Factor by which a feature may leave the measured range before it is said. A guess. */
const SLACK = Math.log(1.5);

/** What of a query lies beyond all rows of a group, or ''. */
export function beyondOf(family: Family, query: Query, rows: readonly Row[]): string {
  const beyond: string[] = [];
  family.features(query).forEach((value, f) => {
    let least = Infinity;
    let most = -Infinity;
    for (const row of rows) {
      least = Math.min(least, at(row.features, f));
      most = Math.max(most, at(row.features, f));
    }
    if (!(value >= least - SLACK && value <= most + SLACK)) beyond.push(at(family.axes, f));
  });
  const size = family.size(query);
  let least = Infinity;
  let most = -Infinity;
  for (const { cells } of rows) {
    least = Math.min(least, cells[0]?.size ?? Infinity);
    most = Math.max(most, cells.at(-1)?.size ?? -Infinity);
  }
  if (!(size >= least - SLACK && size <= most + SLACK)) beyond.push(family.along);
  return beyond.join(', ');
}

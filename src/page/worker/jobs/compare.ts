/** Result files of two sides compared, as `moebius compare` does. No adapter takes part. */
import { compareRuns } from '../../../compare/compare.ts';
import { comparedRun } from '../../../report/file/compared-runs.ts';
import { readResult } from '../../../report/file/result-file.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf } from '../../protocol/reports.ts';

type Side = JobOf<'compare'>['a'];

export function compareJob({ a, b }: JobOf<'compare'>): OutcomeOf<'compare'> {
  const runs = (side: Side) => side.map(({ name, bytes }) => comparedRun(readResult(bytes, name), name));
  const found = compareRuns(runs(a), runs(b));
  return {
    kind: 'compare',
    found: {
      ...found,
      drivers: [...found.drivers],
      rows: found.rows.map((row) => ({ ...row })),
      missing: found.missing.map(({ name, runs: of }) => ({ name, runs: [...of] })),
    },
  };
}

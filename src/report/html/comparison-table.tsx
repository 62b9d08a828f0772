/** @jsxRuntime automatic @jsxImportSource preact */
/** Every row of a comparison, the largest difference first: of the report, and of the page. */
import type { Comparison } from '../../compare/compare.ts';
import { formatNs, formatPercent } from '../../core/units.ts';
import { Table } from './parts.tsx';

type Row = Pick<
  Comparison['rows'][number],
  'name' | 'ratio' | 'low' | 'high' | 'medianA' | 'medianB' | 'word' | 'certain'
>;

const SIGNS = { slower: '▲', faster: '●', same: '■', ambiguous: '×' } as const;

export function byDifference<R extends Pick<Row, 'ratio'>>(rows: readonly R[]): R[] {
  return [...rows].sort((x, y) => Math.abs(Math.log(y.ratio)) - Math.abs(Math.log(x.ratio)));
}

/** What the same runs give by chance, and what is not in the table. */
export function ComparisonNotes({ found }: { readonly found: Pick<Comparison, 'falseAlarms' | 'missing'> }) {
  const { falseAlarms, missing } = found;
  return (
    <>
      {falseAlarms !== null &&
        ` Dealt to sides by chance, the same runs would have ${formatPercent(falseAlarms)} of rows named.`}
      {missing.length > 0 && ` ${missing.length} rows that not every run measured are left out.`}
    </>
  );
}

export function ComparisonTable({ rows }: { readonly rows: readonly Row[] }) {
  return (
    <>
      <Table
        label="All rows of the comparison"
        columns={[
          { head: 'row' },
          { head: 'A', number: true, spare: true },
          { head: 'B', number: true, spare: true },
          { head: 'B / A', number: true },
          { head: 'interval, 95 %', number: true, spare: true },
          { head: 'verdict' },
        ]}
        rows={byDifference(rows).map((row) => ({
          cells: [
            row.name,
            formatNs(row.medianA),
            formatNs(row.medianB),
            row.ratio.toFixed(3),
            `${row.low.toFixed(3)} to ${row.high.toFixed(3)}`,
            `${SIGNS[row.word]} ${row.word}${row.certain ? ' *' : ''}`,
          ],
        }))}
      />
      <p class="soft">* also after allowing for all rows.</p>
    </>
  );
}

/** @jsxRuntime automatic @jsxImportSource preact */
/** Runs before and after: what differs by more than chance. */
import type { Comparison } from '../../compare/compare.ts';
import { formatNs } from '../../core/units.ts';
import { drawRatios } from '../../plots/ratios.ts';
import { verdictText } from '../terminal/compare.ts';
import { Drawing, Section, Table } from './parts.tsx';

/** Drawn; the table has all. */
const MOST_DRAWN = 30;
const SIGNS = { slower: '▲', faster: '●', same: '■', ambiguous: '×' } as const;

export function Compared(props: {
  readonly found: Comparison;
  readonly labels: { readonly a: readonly string[]; readonly b: readonly string[] };
  readonly document: Document;
}) {
  const { found, labels, document } = props;
  const rows = [...found.rows].sort((x, y) => Math.abs(Math.log(y.ratio)) - Math.abs(Math.log(x.ratio)));
  const drawn = rows.slice(0, MOST_DRAWN);
  const left = rows.length - drawn.length;
  return (
    <Section id="comparison" title="Before and after" source="measured">
      <p>{verdictText(found)}</p>
      <p class="soft">
        A: {labels.a.join(', ')}. B: {labels.b.join(', ')}. Ratios of times B / A with their 95 % interval; a{' '}
        {found.unit} is the unit.
        {found.falseAlarms !== null &&
          ` Dealt to sides by chance, the same runs would have ${(100 * found.falseAlarms).toFixed(1)} % of rows named.`}
        {found.missing.length > 0 &&
          ` ${found.missing.length} rows that not every run measured are left out.`}
      </p>
      {drawn.length > 0 && (
        <Drawing
          document={document}
          label={`Ratios of ${drawn.length} rows with their intervals; the table below has the numbers.`}
          caption={`▲ slower, ● faster, ■ the same, × ambiguous; largest difference first${left > 0 ? `; ${left} more in the table` : ''}.`}
          draw={(frame) => drawRatios(frame, drawn)}
        />
      )}
      <Table
        label="All rows of the comparison"
        columns={[
          { head: 'row' },
          { head: 'A', number: true, spare: true },
          { head: 'B', number: true, spare: true },
          { head: 'B / A', number: true },
          { head: 'interval', number: true, spare: true },
          { head: 'verdict' },
        ]}
        rows={rows.map((row) => ({
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
    </Section>
  );
}

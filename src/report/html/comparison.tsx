/** @jsxRuntime automatic @jsxImportSource preact */
/** Runs before and after: what differs by more than chance. */
import type { Comparison } from '../../compare/compare.ts';
import { drawRatios } from '../../plots/ratios.ts';
import { verdictText } from '../verdict.ts';
import { byDifference, ComparisonNotes, ComparisonTable } from './comparison-table.tsx';
import { Drawing, Section } from './parts.tsx';

/** Drawn; the table has all. */
const MOST_DRAWN = 30;

export function Compared(props: {
  readonly found: Comparison;
  readonly labels: { readonly a: readonly string[]; readonly b: readonly string[] };
  readonly document: Document;
}) {
  const { found, labels, document } = props;
  const rows = byDifference(found.rows);
  const drawn = rows.slice(0, MOST_DRAWN);
  const left = rows.length - drawn.length;
  return (
    <Section id="comparison" title="Before and after" source="measured">
      <p>{verdictText(found)}</p>
      <p class="soft">
        A: {labels.a.join(', ')}. B: {labels.b.join(', ')}. Ratios of times B / A with their 95 % interval; a{' '}
        {found.unit} is the unit.
        <ComparisonNotes found={found} />
      </p>
      {drawn.length > 0 && (
        <Drawing
          document={document}
          label={`Ratios of ${drawn.length} rows with their intervals; the table below has the numbers.`}
          caption={`▲ slower, ● faster, ■ the same, × ambiguous; largest difference first${left > 0 ? `; ${left} more in the table` : ''}.`}
          draw={(frame) => drawRatios(frame, drawn)}
        />
      )}
      <ComparisonTable rows={rows} />
    </Section>
  );
}

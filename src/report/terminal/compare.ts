/** A comparison told to a person: the sentence first, then the rows that differ, then what it is worth. */
import type { ComparedRow, Comparison } from '../../compare/compare.ts';
import { ALPHA, isNamed } from '../../compare/decide.ts';
import { printable } from '../../core/text/printable.ts';
import { formatNs, formatPercent } from '../../core/units.ts';
import { plural } from '../../layout/text.ts';
import { verdictText } from '../verdict.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

/** @param all also rows that are the same, or of which nothing can be told. */
export function renderComparison(found: Comparison, style: Style = PLAIN, all = false): string[] {
  const shown = [...found.rows]
    .filter(({ word }) => all || isNamed(word))
    .sort((x, y) => Math.abs(Math.log(y.ratio)) - Math.abs(Math.log(x.ratio)));
  const left = found.rows.length - shown.length;
  return [
    style.bold(`Comparison of ${unitText(found)}`),
    ...paragraph(verdictText(found)),
    ...(shown.length === 0 ? [] : ['', ...rowTable(shown, found, style)]),
    ...(left === 0 ? [] : paragraph(`${left} rows are not shown: --verbose shows all.`)),
    '',
    ...paragraph(worthText(found)),
    ...missingText(found).flatMap((text) => paragraph(text)),
  ];
}

function unitText({ unit, runsA, runsB }: Comparison): string {
  return `${plural(runsA, 'run')} (A) and ${plural(runsB, 'run')} (B), measured; a ${unit} is the unit`;
}

function rowTable(rows: readonly ComparedRow[], { unit }: Comparison, style: Style): string[] {
  const right = 'right' as const;
  const colour = { slower: style.bad, faster: style.good, same: style.dim, ambiguous: style.warn };
  return drawTable(
    [
      { head: 'row', least: 20 },
      { head: 'A', align: right, drop: 2 },
      { head: 'B', align: right, drop: 1 },
      { head: 'B / A', align: right },
      { head: 'interval', align: right },
      { head: 'p', align: right, drop: 3 },
      { head: 'verdict' },
    ],
    rows.map((row) => [
      printable(row.name),
      formatNs(row.medianA),
      formatNs(row.medianB),
      row.ratio.toFixed(3),
      `${row.low.toFixed(2)} to ${row.high.toFixed(2)}`,
      row.p.toPrecision(2),
      colour[row.word](row.word) + mark(row, unit),
    ]),
    style.width,
  );
}

/** '*': beyond doubt. '?': a hint of rounds that are not independent. */
function mark({ word, certain }: ComparedRow, unit: Comparison['unit']): string {
  if (certain) return ' *';
  return unit === 'round' && isNamed(word) ? ' ?' : '';
}

/** How often it is wrong, as far as its own files tell. */
function worthText({ falseAlarms, weak, drivers, adapters, rows }: Comparison): string {
  const measured =
    falseAlarms === null
      ? 'Its rate of false alarms cannot be measured from these files: give 5 runs or more a side.'
      : `Dealt to sides by chance, the same runs would have ${formatPercent(falseAlarms)} of rows named ` +
        `(measured; at most ${100 * ALPHA} % by the test), ${(falseAlarms * rows.length).toFixed(1)} of these.`;
  const star = weak ? '' : ' * also after allowing for all rows.';
  const apart =
    adapters.length > 1
      ? ` The runs are of different adapters or clocks: ${printable(adapters.join('; '))}.`
      : '';
  const other = `${apart}${drivers.length > 1 ? ` The runs are of different drivers: ${drivers.map((driver) => printable(driver) || 'one that is not told').join('; ')}.` : ''}`;
  return `${measured}${star}${other}`;
}

function missingText({ missing }: Comparison): string[] {
  const [first] = missing;
  if (first === undefined) return [];
  return [
    `Not compared: ${plural(missing.length, 'row')} that not every run measured, as ${printable(first.name)} in ${first.runs.slice(0, 3).join(', ')}.`,
  ];
}

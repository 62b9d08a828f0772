/** What a reader wants first of a bench, on one screen of 24 lines: the sentence, five numbers, where to look, what is missing. */
import { failuresOf, type Grounds } from '../../../bench/verdict.ts';
import { maxOf } from '../../../core/math.ts';
import { formatNs } from '../../../core/units.ts';
import { isBusy } from '../../../measure/load.ts';
import { kernelName, recoverable, softwareWarning, tilesOf, type Told } from '../../findings.ts';
import { bar } from '../bars.ts';
import { cellText, PLAIN, WIDTH, type Style } from '../style.ts';
import { paragraph, visible } from '../table.ts';

/** Lines of each part: with what the command adds all of them fit. */
const MOST = { sentence: 3, warning: 2, rows: 5, missing: 2 } as const;
/** Columns of a bar. */
const BAR = 12;

const MARKS = { pass: '✓ PASS', failed: '✗ FAILED', incomplete: '… INCOMPLETE' } as const;

/** At most 21 lines of 80 columns, whatever the names are. */
export function renderSummary(result: Told, style: Style = PLAIN): string[] {
  const { outcome } = result.verdict;
  const paint = outcome === 'pass' ? style.good : outcome === 'failed' ? style.bad : style.warn;
  const [first = '', ...more] = clamped(`${MARKS[outcome]}: ${sentenceOf(result)}`, '', MOST.sentence);
  const mark = `${MARKS[outcome]}:`;
  return [
    style.bold(paint(mark)) + first.slice(mark.length),
    ...more,
    ...clamped(softwareWarning(result) ?? '', '', MOST.warning),
    '',
    ...tilesOf(result).map(({ what, value, beside, source }) =>
      line(
        `  ${cut(what, 21).padEnd(21)}  ${cut(value, 13).padEnd(13)}  `,
        `${(source ?? '').padEnd(8)}  ${clauses(cellText(beside), 30)}`,
      ),
    ),
    '',
    ...lookHere(result, style),
    ...missing(result).flatMap((text) => clamped(text, '', MOST.missing).map(style.warn)),
  ];
}

/** The first that holds: what fails, what was not measured, what all of it amounts to. */
function sentenceOf(result: Told): string {
  const { outcome, judgements } = result.verdict;
  const textOf = (what: string): string => judgements.find((judged) => judged.what === what)?.text ?? '';
  const failures = failuresOf(result as Grounds);
  if (outcome === 'failed') {
    const [failure = textOf('ratio')] = failures;
    return failures.length > 1 ? `${failures.length} checks fail, the first: ${failure}.` : `${failure}.`;
  }
  if (outcome === 'incomplete')
    return `${textOf('timings')}. What was checked is right: ${textOf('checks')}.`;
  const { ratio } = result.forward ?? {};
  return `${textOf('checks')}; ${ratio === undefined ? textOf('timings') : textOf('ratio')}.`;
}

function lookHere(result: Told, style: Style): string[] {
  const rows = recoverable(result).slice(0, MOST.rows);
  if (rows.length === 0) return ['Nothing to rank: no kernel has both a time and a measured roof.'];
  const most = maxOf(rows.map(({ recoverableNs }) => recoverableNs));
  return [
    `${style.bold('Look here first')} (what one run would win at the measured roof)`,
    ...rows.map(({ kernel, share, recoverableNs }) =>
      line(
        `  ${cut(kernelName(kernel), 41).padEnd(41)}  ${formatNs(recoverableNs).padStart(8)}  `,
        `${bar(most === 0 ? 0 : recoverableNs / most, BAR).padEnd(BAR)} ${Math.round(100 * share)}% of roof`,
      ),
    ),
  ];
}

function missing({ kernels, load }: Told): string[] {
  const open = kernels.filter(
    ({ timing }) => timing.state === 'skipped' || timing.state === 'too-fine',
  ).length;
  return [
    ...(open === 0 ? [] : [`Not measured: ${open} of ${kernels.length} kernels; --verbose says why.`]),
    ...(load === null || !isBusy(load)
      ? []
      : [
          `A busy machine: other processes took ${Math.round(100 * load.othersShare)} % of ${load.cores} cores. Measure again on a quiet one.`,
        ]),
  ];
}

/** As many whole clauses as fit. */
function clauses(text: string, most: number): string {
  const ends = [...text.matchAll(/[;,] |$/g)].map(({ index }) => index).filter((end) => end <= most);
  return text.slice(0, ends.at(-1) ?? most);
}

/** A paragraph of at most `most` lines. */
function clamped(text: string, indent: string, most: number): string[] {
  if (text === '') return [];
  const lines = paragraph(text, indent);
  const shown = lines.slice(0, most).map((own) => cut(own, WIDTH));
  const last = shown.at(-1) ?? '';
  return lines.length <= most ? shown : [...shown.slice(0, -1), `${cut(last, WIDTH - 1).replace(/…$/, '')}…`];
}

const line = (start: string, end: string): string => cut(start + end, WIDTH).trimEnd();

function cut(text: string, most: number): string {
  const safe = cellText(text);
  return visible(safe).length <= most ? safe : `${safe.slice(0, most - 1)}…`;
}

/** The result for people: a block per row, at most 100 columns. */
import { formatNs, formatNumber } from '../../src/core/units.ts';
import { drawTable, wrapText, type Column } from '../../src/report/terminal/table.ts';
import type { MatchResult, Standing } from './match.ts';
import { verdictsOf, type Verdict } from './verdict.ts';

const WIDTH = 100;

export interface Heading {
  readonly date: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Lines on who ran on which adapter. */
  readonly adapters: readonly string[];
}

export function headingLines({ date, versions, adapters }: Heading): string[] {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [`Peers side by side, ${date}`, ...adapters, ...wrapText(`Versions: ${list.join(', ')}.`, WIDTH)];
}

/** Times, errors and verdicts of one row. */
export function rowLines(result: MatchResult): string[] {
  const { row, standings, absent } = result;
  const verdicts = verdictsOf(result);
  const columns = [
    { head: `${row.group} ${row.name}` },
    { head: 'median', align: 'right' },
    { head: '95 % interval', align: 'right' },
    { head: 'GPU time', align: 'right' },
    ...(row.flops === undefined ? [] : [{ head: 'GFLOP/s', align: 'right' } as const]),
    { head: 'error', align: 'right' },
    { head: '' },
  ] satisfies Column[];
  const lines = drawTable(
    columns,
    standings.map((standing) => cellsOf(standing, row.flops)),
  );
  return [
    ...lines,
    ...verdicts.map((verdict) => `  ${verdictLine(verdict)}`),
    ...dispatchLines(result),
    ...standings.flatMap(noteLines),
    ...absent.flatMap(({ name, reason }) => indented(`${name} takes no part: ${reason}`)),
  ];
}

function cellsOf({ name, time, gpu, finding }: Standing, flops: number | undefined): string[] {
  const mark = { exact: '', close: '~', wrong: 'WRONG' }[finding.quality];
  return [
    name,
    formatNs(time.median),
    `${formatNs(time.low)} - ${formatNs(time.high)}`,
    gpu === undefined ? '' : formatNs(gpu.median),
    ...(flops === undefined ? [] : [formatNumber(flops / time.median)]),
    finding.error.toExponential(1),
    mark,
  ];
}

/** 'met     moebius f32 is 9.1 times (8.8 - 9.4) as fast as ort MatMul, goal 4' */
export function verdictLine({ outcome, fast, slow, atLeast, ratio }: Verdict): string {
  const word = outcome.padEnd(7);
  if (ratio === undefined)
    return `${word} ${fast} against ${slow}, goal ${atLeast}: one of them takes no part`;
  const times = `${formatNumber(ratio.median)} times (${formatNumber(ratio.low)} - ${formatNumber(ratio.high)})`;
  return `${word} ${fast} is ${times} as fast as ${slow}, goal ${atLeast}`;
}

function dispatchLines({ row, standings }: MatchResult): string[] {
  const { dispatches: most } = row;
  if (most === undefined) return [];
  return standings.flatMap(({ name, dispatches }) =>
    dispatches === undefined
      ? []
      : [
          `  ${(dispatches <= most ? 'met' : 'missed').padEnd(7)} ${name} takes ${dispatches} dispatches, goal ${most}`,
        ],
  );
}

function noteLines({ name, notes, finding }: Standing): string[] {
  const said = [...notes, ...(finding.message === undefined ? [] : [`WRONG: ${finding.message}`])];
  return said.length === 0 ? [] : indented(`${name}: ${said.join('; ')}`);
}

const indented = (text: string): string[] => wrapText(text, WIDTH - 2).map((line) => `  ${line}`);

/** The goals of all rows, counted. */
export function summaryLines(results: readonly MatchResult[]): string[] {
  const verdicts = results.flatMap(verdictsOf);
  const count = (outcome: string): number => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  return [
    `Goals: ${count('met')} met, ${count('open')} open (the interval holds the goal), ${count('missed')} missed, ` +
      `${count('void')} void, of ${verdicts.length}.`,
  ];
}

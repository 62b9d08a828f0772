/** A bench result told to a person: checks first, then times, then what they mean beside the target. */
import type { BenchResult } from '../../../bench/result.ts';
import { unmeasured, type Verdict } from '../../../bench/verdict.ts';
import { summarise } from '../../../measure/statistics.ts';
import type { KernelTiming } from '../../../bench/kernels/suite.ts';
import type { Timing } from '../../../measure/timing.ts';
import { rankRegistered, type Rank } from '../../../bench/kernels/ranking.ts';
import { formatNs, formatNumber, formatSi } from '../../../core/units.ts';
import { renderCeilings, roofText, ROOF_LEGEND } from '../ceilings.ts';
import { renderFamilies, renderModel, renderRegistered } from '../checks.ts';
import { kindText } from '../doctor.ts';
import { timingNotes } from './notes.ts';
import { renderForward, renderStages } from '../forward.ts';
import { PLAIN, type Style } from '../style.ts';
import { drawFacts, drawTable, paragraph } from '../table.ts';
import { renderTarget } from '../target.ts';

export function renderBench(result: BenchResult, style: Style = PLAIN): string[] {
  const { adapter, checks, clock, forward, model, layout } = result;
  const { facts } = adapter;
  const head = (text: string): string => style.bold(text);
  return [
    head('Adapter'),
    ...drawFacts([
      ['name', `${facts.name}: ${kindText(facts)}`],
      ['driver', facts.driver],
      ['why', facts.search.join(' ')],
      ['clock', clock.note],
      ...(result.tuning ? [['tuning', result.tuning.note.replace(/^tuning: /, '')] as const] : []),
    ]),
    '',
    head('Ceilings of this adapter (measured)'),
    ...renderCeilings(result.ceilings, style),
    '',
    head(`Kernels against float64${result.quick ? ' (quick subset)' : ''}`),
    ...renderFamilies(checks.kernels, style),
    ...renderRegistered(checks.registered ?? []),
    '',
    ...(checks.model === null
      ? []
      : [
          head(`${model} on ${checks.model.worldSize} ranks (${layout}), on one rank, and what is known`),
          ...renderModel(checks.model, style),
          '',
        ]),
    head(
      `Latency of kernels (measured; median of ${result.rounds?.count ?? 'no'} rounds; inputs ${result.cold ? 'cold' : 'warm'})`,
    ),
    ...renderKernels(result.kernels, style),
    ...rankRegistered(result.kernels).flatMap((rank) => paragraph(rankText(rank))),
    ...unmeasuredNote(result, style),
    ...timingNotes(result).flatMap((note) => paragraph(note)),
    ...paragraph(
      `Clock: ${clock.note}. FLOP and bytes are what the operation needs at least, each input and output once; ` +
        '* is the variant taken by default, + the tuned one; a family without variants has one.',
    ),
    ...paragraph(ROOF_LEGEND),
    '',
    ...(forward === null ? [] : [...renderStages(forward, style), ...renderForward(forward, style), '']),
    ...renderTarget(result, style),
    '',
    head('Host (measured, host clock, median)'),
    ...drawFacts(result.host.map(({ task, timing }) => [task, timeText(timing)] as const)),
    '',
    ...renderVerdict(result.verdict, style),
  ];
}

/** How many rows without a time are told one by one. */
const SHOWN_UNMEASURED = 12;

function unmeasuredNote(result: BenchResult, style: Style): string[] {
  const missing = unmeasured(result.kernels);
  if (missing.length === 0) return [];
  const names = missing.map(({ row, reason }) => {
    const { family, name, variant, choice } = row;
    const which = variant === 'default' ? '' : `, ${variant}${choice ? MARKS[choice] : ''}`;
    return `${family}: ${name}${which} (${reason})`;
  });
  const more = names.length - SHOWN_UNMEASURED;
  const told = `${names.slice(0, SHOWN_UNMEASURED).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
  return [...paragraph(style.bad(`NOT MEASURED: ${missing.length} of ${result.kernels.length}: ${told}.`))];
}

/** 'matmul/mine on card q, k, v: 32 rows: 3rd of 7 by time, 1.32 times that of subgroup (1.30 to 1.35)' */
function rankText({ row: { family, name, variant }, place, of, against }: Rank): string {
  const where = `${family}/${variant}, your own, on ${name}: place ${place} of ${of} by time`;
  if (against === undefined) return `${where}.`;
  const { median, low, high } = against.ratio;
  const interval = `${formatNumber(low)} to ${formatNumber(high)}`;
  return `${where}, ${formatNumber(median)} times that of ${against.variant} (${interval}).`;
}

const WORDS = { pass: 'pass', fail: 'FAIL', open: 'open' } as const;
const OUTCOMES = { pass: 'PASS', failed: 'FAILED', incomplete: 'INCOMPLETE' } as const;

/** The end of all: what it amounts to, a line or two each. */
export function renderVerdict({ outcome, judgements }: Verdict, style: Style = PLAIN): string[] {
  const paint = (state: 'pass' | 'fail' | 'open', text: string): string =>
    state === 'pass' ? style.good(text) : state === 'fail' ? style.bad(text) : style.warn(text);
  return [
    style.bold(`Verdict: ${paint(outcome === 'pass' ? 'pass' : 'fail', OUTCOMES[outcome])}`),
    ...drawFacts(judgements.map(({ what, state, text }) => [what, `${paint(state, WORDS[state])}  ${text}`])),
  ];
}

/** Cases under the name of their family. */
function renderKernels(kernels: readonly KernelTiming[], style: Style): string[] {
  const families = [...new Set(kernels.map(({ family }) => family))];
  return drawTable(
    [
      { head: 'kernel', least: 20 },
      // With its mark in front, where nothing is cut off.
      { head: ' variant', least: 9 },
      { head: 'time', align: 'right' },
      { head: '+-', align: 'right', drop: 3 },
      { head: 'rate', align: 'right', drop: 1 },
      { head: 'roof', align: 'right', drop: 2 },
    ],
    families.flatMap((family) => [
      [family, '', '', '', '', ''],
      ...kernels.filter((kernel) => kernel.family === family).map((kernel) => kernelRow(kernel, style)),
    ]),
    style.width,
  );
}

const MARKS = { default: '*', tuned: '+' } as const;

function kernelRow(kernel: KernelTiming, style: Style): string[] {
  const { name, variant, choice, timing, drift } = kernel;
  return [
    `  ${name}`,
    variant === 'default' ? '' : `${choice ? MARKS[choice] : ' '}${variant}`,
    timing.state === 'failed'
      ? style.bad('failed')
      : timing.state === 'skipped'
        ? style.bad(NOT_MEASURED)
        : `${drift?.marked ? '~' : ''}${timeText(timing)}`,
    spreadText(timing),
    rateText(kernel),
    roofText(kernel.roof),
  ];
}

const NOT_MEASURED = 'not measured';

function timeText(timing: Timing): string {
  if (timing.state === 'too-fine') return 'below clock';
  return timing.state === 'measured' ? formatNs(summarise(timing.samplesNs).median) : timing.state;
}

/** Half the interval as a share of the median: '3 %'. */
export function spreadText(timing: Timing): string {
  if (timing.state !== 'measured') return '';
  const { median, low, high } = summarise(timing.samplesNs);
  return median === 0 ? '' : `${Math.round((50 * (high - low)) / median)}%`;
}

/** FLOP/s where there is arithmetic worth the name, bytes/s where data only moves. */
function rateText({ flops, bytes, flopsPerSecond, bytesPerSecond }: KernelTiming): string {
  if (flopsPerSecond === undefined || bytesPerSecond === undefined) return '';
  return flops > 4 * bytes ? formatSi(flopsPerSecond, 'FLOP/s') : formatSi(bytesPerSecond, 'B/s');
}

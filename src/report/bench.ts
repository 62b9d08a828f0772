/** A bench result told to a person: checks first, then times, then what they mean beside the target. */
import type { BenchResult } from '../bench/result.ts';
import { summarise } from '../bench/statistics.ts';
import type { KernelTiming } from '../bench/kernel-suite.ts';
import type { Timing } from '../bench/timing.ts';
import { formatNs, formatSi } from '../core/units.ts';
import { renderCeilings, roofText, ROOF_LEGEND } from './ceilings.ts';
import { renderFamilies, renderModel } from './checks.ts';
import { kindText } from './doctor.ts';
import { timingNotes } from './timing-notes.ts';
import { renderForward, renderStages } from './forward.ts';
import { PLAIN, type Style } from './style.ts';
import { drawFacts, drawTable, paragraph } from './table.ts';
import { renderTarget } from './target.ts';

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
    '',
    head(`${model} on ${checks.model.worldSize} ranks (${layout}), on one rank, and what is known`),
    ...renderModel(checks.model, style),
    '',
    head(`Latency of kernels (measured; median, 95 % interval; inputs ${result.cold ? 'cold' : 'warm'})`),
    ...renderKernels(result.kernels, style),
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
  ];
}

/** Cases under the name of their family. */
function renderKernels(kernels: readonly KernelTiming[], style: Style): string[] {
  const families = [...new Set(kernels.map(({ family }) => family))];
  return drawTable(
    [
      { head: 'kernel', max: 28 },
      { head: 'variant', max: 10 },
      { head: 'time', align: 'right' },
      { head: '+-', align: 'right' },
      { head: 'rate', align: 'right' },
      { head: 'roof', align: 'right' },
    ],
    families.flatMap((family) => [
      [family, '', '', '', '', ''],
      ...kernels.filter((kernel) => kernel.family === family).map((kernel) => kernelRow(kernel, style)),
    ]),
  );
}

const MARKS = { default: '*', tuned: '+' } as const;

function kernelRow(kernel: KernelTiming, style: Style): string[] {
  const { name, variant, choice, timing, drift } = kernel;
  return [
    `  ${name}`,
    variant === 'default' ? '' : `${variant}${choice ? MARKS[choice] : ''}`,
    timing.state === 'failed' ? style.bad('failed') : `${drift ? '~' : ''}${timeText(timing)}`,
    spreadText(timing),
    rateText(kernel),
    roofText(kernel.roof),
  ];
}

function timeText(timing: Timing): string {
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

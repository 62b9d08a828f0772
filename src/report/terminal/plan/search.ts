/** What a search found, for a terminal. */
import { formatNumber } from '../../../core/units.ts';
import { totalOf, gpuUsPerToken, type Difference, type Targets } from '../../../planner/search/front.ts';
import {
  workloadText,
  type Found,
  type SearchReport,
  type Standing,
} from '../../../planner/search/search.ts';
import { SHARE_NAMES } from '../../../planner/simulate/simulate.ts';
import { drawTable, paragraph } from '../table.ts';
import type { Style } from '../style.ts';

/** 'ep=32,tp=8,dp=4' of a folded tuple, with the reading of another: axes of 1 are left out. */
export function shortName({ layout, reading }: Pick<Found, 'layout' | 'reading'>): string {
  const axes = layout.split(',').filter((axis) => !axis.endsWith('=1'));
  return (axes.length === 0 ? 'ep=1' : axes.join()) + (reading === 'folded' ? '' : ` ${reading}`);
}

export function targetsText({ ttftMs, tpotMs }: Targets): string {
  const limits = [
    ...(ttftMs === undefined ? [] : [`TTFT at most ${formatMs(ttftMs)}`]),
    ...(tpotMs === undefined ? [] : [`TPOT at most ${formatMs(tpotMs)}`]),
  ];
  return limits.join(', ');
}

export const formatMs = (ms: number): string =>
  ms >= 1e4 ? `${formatNumber(ms / 1e3)} s` : `${formatNumber(ms)} ms`;

export const rateOf = ({ outputTokensPerS, gpus }: Found): number => outputTokensPerS / gpus;

/** Rows of the front that are printed. */
const SHOWN = 12;

export function renderSearch(report: SearchReport, style: Style): string[] {
  const { model, hardware, gpus, precision, workload, layouts, outOfMemory, simulated, front, given } =
    report;
  const several = gpus.length > 1;
  const rest = front.length - SHOWN;
  return [
    style.bold(`Layouts of ${model} on ${gpus.join(', ')} ${hardware}, ${precision}`),
    ...paragraph(
      `${layouts} layouts: ${outOfMemory} do not fit the memory, ${simulated} simulated ${workloadText(workload)}.${report.interrupted ? ' Interrupted: the others were not reached.' : ''}`,
    ),
    '',
    ...paragraph(verdictOf(report), ''),
    '',
    style.bold('Not beaten in TTFT, throughput, memory and GPUs at once'),
    ...drawTable(
      [
        { head: 'layout', least: 20 },
        ...(several ? [{ head: 'GPUs', align: 'right' as const }] : []),
        { head: 'TTFT ms', align: 'right' },
        { head: 'TPOT ms', align: 'right' },
        { head: 'tokens/s/GPU', align: 'right' },
        { head: '80 % interval', align: 'right' },
        { head: 'GB', align: 'right' },
      ],
      front
        .slice(0, SHOWN)
        .map((one) => [
          shortName(one),
          ...(several ? [String(one.gpus)] : []),
          formatNumber(one.ttftMs),
          formatNumber(one.tpotMs),
          formatNumber(rateOf(one)),
          `${formatNumber(one.cells.out_tok_s_gpu.low)} to ${formatNumber(one.cells.out_tok_s_gpu.high)}`,
          (one.memoryBytes / 1e9).toFixed(1),
        ]),
      style.width,
    ),
    ...(rest > 0 ? [`  and ${rest} more: --json has them all.`] : []),
    ...paragraph(sourcesOf(front)),
    ...(given === null ? [] : ['', ...renderStanding(given, style)]),
    ...(report.givenRefused === null ? [] : ['', ...paragraph(report.givenRefused, '')]),
  ];
}

/** What of the front is modelled or assumed, and why. */
export function sourcesOf(front: readonly Found[]): string {
  const told = [
    ...new Set(front.map(({ cells }) => `${cells.out_tok_s_gpu.tag}, ${cells.out_tok_s_gpu.region}`)),
  ];
  return told.length === 0 ? '' : `All numbers are ${told.join('; or ')}.`;
}

export function verdictOf({ best, front, targets, simulated }: SearchReport): string {
  const limits = targetsText(targets);
  if (simulated === 0) return 'None was simulated to its end.';
  if (best !== null) {
    return (
      `The most throughput${limits && ` with ${limits}`}: ${shortName(best)}, ${formatNumber(rateOf(best))} output tokens/s a GPU, ` +
      `TTFT ${formatMs(best.ttftMs)}, TPOT ${formatMs(best.tpotMs)}.`
    );
  }
  const least = (of: (one: Found) => number): Found | undefined =>
    [...front].sort((a, b) => of(a) - of(b))[0];
  const [first, token] = [least(({ ttftMs }) => ttftMs), least(({ tpotMs }) => tpotMs)];
  return (
    `No layout has ${limits}. The earliest first token is ${formatMs(first?.ttftMs ?? NaN)} (${first && shortName(first)}), the ` +
    `fastest next one ${formatMs(token?.tpotMs ?? NaN)} (${token && shortName(token)}). Below are those that nothing beats all the same.`
  );
}

function renderStanding({ layout: own, rank, of, beaten, better }: Standing, style: Style): string[] {
  const us = formatNumber(totalOf(gpuUsPerToken(own)));
  return [
    style.bold(`Where ${shortName(own)} stands`),
    ...paragraph(
      `Number ${rank} of ${of} by throughput: ${formatNumber(rateOf(own))} output tokens/s a GPU, TTFT ${formatMs(own.ttftMs)}, ` +
        `TPOT ${formatMs(own.tpotMs)}, ${(own.memoryBytes / 1e9).toFixed(1)} GB; a token takes ${us} us of GPU time. ` +
        (beaten === 0
          ? 'Nothing is better in both TTFT and throughput.'
          : `${beaten} ${beaten === 1 ? 'is' : 'are'} no worse in TTFT and throughput and better in one.`),
    ),
    ...better.flatMap(({ layout, as, why }) => [
      ...paragraph(
        `${as}: ${shortName(layout)}, ${formatNumber(rateOf(layout))} tokens/s a GPU, TTFT ${formatMs(layout.ttftMs)}. ${whyText(why)}`,
      ),
    ]),
  ];
}

/** Parts that explain a difference are told down to this share of the largest. A guess. */
const WORTH_TELLING = 0.15;

/** 'bubbles fell from 31 to 4 us of GPU time a token'. */
export function whyText(why: readonly Difference[]): string {
  const change = ({ from, to }: Difference): number => to - from;
  const [most] = why;
  if (most === undefined || change(most) >= 0) return 'No part of the GPU time of a token shrank.';
  const told = why.filter((one) => change(one) <= change(most) * WORTH_TELLING).slice(0, 3);
  const grown = [...why]
    .reverse()
    .filter((one) => change(one) >= -change(most) * WORTH_TELLING)
    .slice(0, 1);
  const text = ({ share, from, to }: Difference): string =>
    `${SHARE_NAMES[share]} ${formatNumber(from)} to ${formatNumber(to)}`;
  return (
    `us of GPU time a token that shrank: ${told.map(text).join(', ')}` +
    `${grown.length > 0 ? `; that grew: ${grown.map(text).join(', ')}` : ''}.`
  );
}

/** What a search found, in words: for the terminal, the report and the page. */
import { formatNumber } from '../core/units.ts';
import type { Difference, Targets } from '../planner/search/front.ts';
import type { Found, SearchReport } from '../planner/search/search.ts';
import { SHARE_NAMES } from '../planner/simulate/simulate.ts';

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

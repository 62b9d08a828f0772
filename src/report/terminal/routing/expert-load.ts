/** The load of experts while a run goes, as one line: bars of the most uneven layer. */
import { at, maxOf, range, sum } from '../../../core/math.ts';
import { maxOverMean } from '../../../routing/load.ts';
import type { ExpertLoad } from '../../../runtime/expert-load.ts';

/** Eighths of a line's height; an expert without rows has the first. */
const LEVELS = '▁▂▃▄▅▆▇█';
/** Room that the words take beside the bars. */
const WORDS = 52;
const MOST_BARS = 64;

/** loadBars([0, 4, 8], 3) = '▁▅█'. More values than `most` share bars: the fullest of neighbours. */
export function loadBars(values: readonly number[], most: number): string {
  const per = Math.ceil(values.length / Math.max(1, most));
  const shown = range(Math.ceil(values.length / per)).map((i) => maxOf(values.slice(i * per, (i + 1) * per)));
  const highest = maxOf(shown, 0);
  return shown
    .map((value) => LEVELS[highest === 0 ? 0 : Math.min(7, Math.round((8 * value) / highest))] ?? '')
    .join('');
}

/** Undefined as long as there are no rows. @param width columns that it may take. */
export function expertLoadLine({ count_LE, tokens }: ExpertLoad, width: number): string | undefined {
  const ratios = count_LE.map((count) => (sum(count) === 0 ? 0 : maxOverMean(count)));
  const worst = maxOf(ratios, 0);
  if (worst === 0) return undefined;
  const layer = ratios.indexOf(worst);
  const count = at(count_LE, layer);
  const fullest = count.indexOf(maxOf(count));
  const room = Math.max(8, Math.min(MOST_BARS, width - WORDS));
  const line = `experts ${loadBars(count, room)} layer ${layer}: #${fullest} has ${worst.toFixed(2)} x mean, ${tokens} tokens`;
  return line.slice(0, width);
}

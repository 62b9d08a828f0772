/** A table of counts as a map: the more, the darker on paper and the brighter on a dark page. */
import * as Plot from '@observablehq/plot';
import { at, maxOf, range } from '../core/math.ts';
import { draw, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface HeatMap {
  /** What rows and columns are: 'rank', 'expert'. */
  readonly rows: string;
  readonly columns: string;
  /** Of every row as many, 0 or more. */
  readonly values: readonly (readonly number[])[];
}

/** More than an eye tells apart; a mark each, so that a cell says only where it is. */
const SHADES = 16;

/** A row and a column per number, both counted from 0 at the top left. The darkest is the largest value. */
export function drawHeatMap(frame: Frame, { rows, columns, values }: HeatMap): SVGSVGElement {
  const most = maxOf(values.flat(), 1);
  const [height, width] = [values.length, values[0]?.length ?? 0];
  const cells = values.flatMap((own, row) =>
    own.map((value, column) => ({ column, row, shade: Math.ceil((SHADES * value) / most) })),
  );
  return draw(frame, {
    height: 60 + Math.max(height * (isNarrow(frame) ? 8 : 12), 60),
    marginLeft: 44,
    marginRight: 16,
    x: { label: columns, domain: range(width), ticks: ticksOf(width, isNarrow(frame) ? 8 : 16), padding: 0 },
    y: { label: rows, domain: range(height), ticks: ticksOf(height, isNarrow(frame) ? 8 : 16), padding: 0 },
    marks: [
      ...range(SHADES).map((i) =>
        Plot.cell(
          cells.filter(({ shade }) => shade === i + 1),
          { x: 'column', y: 'row', fill: hue(0), fillOpacity: (i + 1) / SHADES },
        ),
      ),
      Plot.frame({ stroke: 'currentColor' }),
    ],
  });
}

/** At most so many of 0 to count - 1, evenly. */
function ticksOf(count: number, most: number): number[] {
  const step = Math.max(1, Math.ceil(count / most));
  return range(Math.ceil(count / step)).map((i) => i * step);
}

/** How uneven a load is: the most beside the mean. imbalance([1, 1, 4]) = 2. */
export function imbalance(load: readonly number[]): number {
  const mean = load.reduce((all, value) => all + value, 0) / load.length;
  return mean > 0
    ? at(
        [...load].sort((a, b) => b - a),
        0,
      ) / mean
    : 1;
}

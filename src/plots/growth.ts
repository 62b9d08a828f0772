/** How time grows with size, both axes logarithmic: a series is a line of points, the fit a straight line through some. */
import * as Plot from '@observablehq/plot';
import { maxOf, minOf } from '../core/math.ts';
import { formatNs } from '../core/units.ts';
import { draw, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface GrowthLine {
  /** Sizes and times, ns, more than 0. */
  readonly points: readonly { readonly size: number; readonly ns: number; readonly fitted: boolean }[];
  /** Time is proportional to size ** exponent; undefined where nothing was fitted. */
  readonly exponent: number | undefined;
}

/** Series are told by the number at their last point, from 1 on; filled points carry the fit. */
export function drawGrowth(frame: Frame, lines: readonly GrowthLine[]): SVGSVGElement {
  const all = lines.flatMap(({ points }, i) => points.map((point) => ({ ...point, i })));
  const fits = lines.flatMap(({ points, exponent }, i) =>
    fitOf(points, exponent).map((end) => ({ ...end, i })),
  );
  const colour = ({ i }: { readonly i: number }): string => hue(i);
  return draw(frame, {
    height: isNarrow(frame) ? 240 : 300,
    marginLeft: 60,
    marginRight: 24,
    x: { type: 'log', label: 'size', ticks: isNarrow(frame) ? 4 : 8, tickFormat: '~s' },
    y: {
      ...{ type: 'log', label: 'time', grid: true, ticks: 6, tickFormat: (ns: number) => formatNs(ns) },
      domain: [minOf(all.map(({ ns }) => ns)) / 1.5, maxOf(all.map(({ ns }) => ns)) * 1.5],
    },
    marks: [
      Plot.line(fits, { x: 'size', y: 'ns', z: 'i', stroke: 'currentColor', strokeWidth: 1 }),
      Plot.dot(all, {
        ...{ x: 'size', y: 'ns', r: 4, stroke: 'currentColor', fill: colour },
        fillOpacity: ({ fitted }: { fitted: boolean }) => (fitted ? 1 : 0),
      }),
      Plot.text(
        lines.flatMap(({ points }, i) => points.slice(-1).map((point) => ({ ...point, i }))),
        { x: 'size', y: 'ns', dx: 12, text: ({ i }: { i: number }) => String(i + 1), fill: 'currentColor' },
      ),
    ],
    opacity: { type: 'identity' },
  });
}

/** Both ends of the line of this slope through the middle of the fitted points. */
function fitOf(points: GrowthLine['points'], exponent: number | undefined): { size: number; ns: number }[] {
  const fitted = points.filter((point) => point.fitted);
  if (exponent === undefined || fitted.length < 2) return [];
  const mean = (of: (point: (typeof fitted)[number]) => number): number =>
    fitted.reduce((sum, point) => sum + Math.log(of(point)), 0) / fitted.length;
  const [x, y] = [mean(({ size }) => size), mean(({ ns }) => ns)];
  const sizes = fitted.map(({ size }) => size);
  return [minOf(sizes), maxOf(sizes)].map((size) => ({
    ...{ size, ns: Math.exp(y + exponent * (Math.log(size) - x)) },
  }));
}

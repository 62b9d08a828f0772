/** Layouts by how soon they begin and how much they deliver: all, those that nothing beats, and the given one. */
import * as Plot from '@observablehq/plot';
import { maxOf } from '../core/math.ts';
import { draw, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface LayoutPoint {
  readonly name: string;
  /** More than 0. */
  readonly ttftMs: number;
  /** Tokens a second of one GPU, more than 0. */
  readonly rate: number;
  readonly front: boolean;
  readonly meets: boolean;
  readonly given: boolean;
}

/** A limit beyond so many times the latest first token would leave no room for the layouts. A guess. */
const FAR = 3;

/** Names that find room beside their points. A guess. */
const NAMED = 6;

/**
 * A point a layout, both axes logarithmic: circles are on the front, crosses miss a target, the star is the given one. The line
 * is the limit of TTFT, where it is near. Those of the front with the most throughput are named by number, in their order.
 */
export function drawLayouts(
  frame: Frame,
  points: readonly LayoutPoint[],
  limitMs: number | undefined,
): SVGSVGElement {
  const front = points.filter((point) => point.front).sort((a, b) => b.rate - a.rate);
  const at = { x: 'ttftMs', y: 'rate' } as const;
  const farthest = maxOf(
    points.map(({ ttftMs }) => ttftMs),
    0,
  );
  const limits = limitMs !== undefined && limitMs <= FAR * farthest ? [limitMs] : [];
  return draw(frame, {
    height: isNarrow(frame) ? 280 : 380,
    marginLeft: 60,
    marginRight: 24,
    x: { type: 'log', label: 'TTFT, ms', grid: true, ticks: isNarrow(frame) ? 4 : 8, tickFormat: '~s' },
    y: { type: 'log', label: 'output tokens a second, per GPU', grid: true, ticks: 6, tickFormat: '~s' },
    marks: [
      Plot.ruleX(limits, { stroke: 'currentColor', strokeDasharray: '4 3' }),
      Plot.dot(
        points.filter((point) => !point.meets && !point.front),
        { ...at, r: 3, symbol: 'times', stroke: 'currentColor', strokeOpacity: 0.5 },
      ),
      Plot.dot(
        points.filter((point) => point.meets && !point.front),
        { ...at, r: 3, stroke: 'currentColor', fill: 'var(--paper)' },
      ),
      Plot.dot(front, { ...at, r: 5, stroke: 'currentColor', fill: hue(0) }),
      Plot.dot(
        points.filter((point) => point.given),
        { ...at, r: 9, symbol: 'star', stroke: 'currentColor', fill: hue(1) },
      ),
      Plot.text(front.slice(0, NAMED), {
        ...at,
        ...{ dy: -12, fill: 'currentColor', text: (_: unknown, i: number) => String(i + 1) },
      }),
    ],
  });
}

/** Ratios with their intervals around 1: what became slower or faster. */
import * as Plot from '@observablehq/plot';
import { maxOf, minOf } from '../core/math.ts';
import { draw, fitted, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface RatioRow {
  readonly name: string;
  /** All more than 0, low <= ratio <= high. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly word: 'same' | 'faster' | 'slower' | 'ambiguous';
}

const SIGNS = {
  slower: { symbol: 'triangle', hue: hue(1) },
  faster: { symbol: 'circle', hue: hue(0) },
  same: { symbol: 'square', hue: 'var(--paper)' },
  ambiguous: { symbol: 'times', hue: 'none' },
} as const;

/** Rows in the order given. Triangles are slower, circles faster, squares the same, crosses ambiguous. */
export function drawRatios(frame: Frame, rows: readonly RatioRow[]): SVGSVGElement {
  const letters = isNarrow(frame) ? 18 : 44;
  // Names that lose their ends would meet: rows are told apart by number.
  const numbered = rows.map((row, i) => ({ ...row, at: `${i + 1}. ${fitted(row.name, letters)}` }));
  const low = minOf([...rows.map((row) => row.low), 0.95]);
  const high = maxOf([...rows.map((row) => row.high), 1.05]);
  return draw(frame, {
    height: 50 + 20 * rows.length,
    marginLeft: 8 * (isNarrow(frame) ? 17 : 36),
    marginRight: 16,
    x: { type: 'log', label: 'B / A', domain: [low, high], grid: true, ticks: 5, tickFormat: '.2f' },
    y: { label: null, domain: numbered.map(({ at }) => at) },
    marks: [
      Plot.ruleX([1], { stroke: 'currentColor' }),
      Plot.ruleY(numbered, { x1: 'low', x2: 'high', y: 'at', stroke: 'currentColor' }),
      ...(['slower', 'faster', 'same', 'ambiguous'] as const).map((word) =>
        Plot.dot(
          numbered.filter((row) => row.word === word),
          {
            x: 'ratio',
            y: 'at',
            r: 4,
            symbol: SIGNS[word].symbol,
            fill: SIGNS[word].hue,
            stroke: 'currentColor',
          },
        ),
      ),
    ],
  });
}

/** What overflow costs in quality: a line a policy over capacity factors, told by its symbol as well as by its colour. */
import * as Plot from '@observablehq/plot';
import { at } from '../core/math.ts';
import { draw, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface QualityLine {
  readonly policy: string;
  /** In the order of their factors. */
  readonly points: readonly { readonly factor: number; readonly value: number }[];
}

const SYMBOLS = [
  ['circle', '●'],
  ['triangle', '▲'],
  ['square', '■'],
  ['diamond', '◆'],
  ['star', '★'],
  ['cross', '✚'],
] as const;

/** @param what the values are. @param level a line across: what no capacity gives. */
export function drawQuality(
  frame: Frame,
  lines: readonly QualityLine[],
  { what, level }: { readonly what: string; readonly level?: number },
): SVGSVGElement {
  return draw(frame, {
    height: isNarrow(frame) ? 240 : 300,
    marginLeft: 56,
    marginRight: 24,
    x: { label: 'capacity factor', nice: true, ticks: isNarrow(frame) ? 4 : 8 },
    y: { label: what, grid: true, nice: true },
    marks: [
      ...(level === undefined
        ? []
        : [Plot.ruleY([level], { stroke: 'currentColor', strokeDasharray: '4 3' })]),
      ...lines.flatMap(({ policy, points }, i) => {
        const [symbol, glyph] = at(SYMBOLS, i % SYMBOLS.length);
        const place = { x: 'factor', y: 'value' } as const;
        return [
          Plot.line(points, { ...place, stroke: hue(i), strokeWidth: 2 }),
          Plot.dot(points, {
            ...place,
            symbol,
            r: 4,
            fill: hue(i),
            stroke: 'currentColor',
            strokeWidth: 0.5,
          }),
          Plot.text([`${policy} ${glyph}`], {
            ...{ text: (name: string) => name, frameAnchor: 'top-right', dy: 6 + 16 * i },
            ...{ dx: -4, fill: 'currentColor' },
          }),
        ];
      }),
    ],
  });
}

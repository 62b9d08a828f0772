/** Kernels under the measured ceilings: FLOP/s over intensity, both axes logarithmic. */
import * as Plot from '@observablehq/plot';
import { maxOf, minOf } from '../core/math.ts';
import { formatSi } from '../core/units.ts';
import { draw, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface RooflineRow {
  /** FLOP per byte, more than 0. */
  readonly intensity: number;
  /** FLOP/s, more than 0. */
  readonly rate: number;
  readonly binds: 'compute' | 'bandwidth';
}

export interface RooflineSlope {
  /** Such as its working set, '64 KiB'. */
  readonly name: string;
  readonly bytesPerSecond: number;
}

export interface Roofline {
  /** FLOP/s. */
  readonly peak: number;
  /** One or more. */
  readonly slopes: readonly RooflineSlope[];
  readonly rows: readonly RooflineRow[];
}

/** Circles are rows that compute binds, triangles those that bandwidth binds. */
export function drawRoofline(frame: Frame, { peak, slopes, rows }: Roofline): SVGSVGElement {
  const fastest = maxOf(slopes.map(({ bytesPerSecond }) => bytesPerSecond));
  const slowest = minOf(slopes.map(({ bytesPerSecond }) => bytesPerSecond));
  const left = minOf([...rows.map(({ intensity }) => intensity), peak / fastest]) / 2;
  const right = maxOf([...rows.map(({ intensity }) => intensity), peak / slowest]) * 2;
  const roofs = slopes.flatMap(({ name, bytesPerSecond }) => [
    { name, x: left, y: left * bytesPerSecond },
    { name, x: peak / bytesPerSecond, y: peak },
    { name, x: right, y: peak },
  ]);
  const lowest = minOf([...rows.map(({ rate }) => rate), left * slowest]) / 2;
  const at = { x: 'intensity', y: 'rate', fillOpacity: 0.7, r: 4 } as const;
  return draw(frame, {
    height: isNarrow(frame) ? 260 : 340,
    marginLeft: 60,
    marginRight: 16,
    x: {
      type: 'log',
      label: 'FLOP per byte',
      domain: [left, right],
      ticks: isNarrow(frame) ? 4 : 8,
      tickFormat: '~g',
    },
    y: {
      ...{ type: 'log', label: 'FLOP/s', grid: true, domain: [lowest, peak * 1.5], ticks: 6 },
      tickFormat: (value: number) => formatSi(value, ''),
    },
    marks: [
      Plot.line(roofs, { x: 'x', y: 'y', z: 'name', stroke: 'currentColor', strokeWidth: 1.5 }),
      Plot.dot(
        rows.filter(({ binds }) => binds === 'compute'),
        { ...at, symbol: 'circle', fill: hue(0), stroke: 'currentColor', strokeWidth: 0.5 },
      ),
      Plot.dot(
        rows.filter(({ binds }) => binds === 'bandwidth'),
        { ...at, symbol: 'triangle', fill: hue(1), stroke: 'currentColor', strokeWidth: 0.5 },
      ),
    ],
  });
}

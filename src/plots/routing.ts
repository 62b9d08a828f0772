/** Load under routing: sorted loads, and policies beside each other. */
import * as Plot from '@observablehq/plot';
import { draw, type Frame, fitted } from './frame.ts';
import { hue } from './hues.ts';

export interface PolicyLoads {
  readonly policy: string;
  readonly loadOfExperts: readonly number[];
  readonly loadOfRanks: readonly number[];
  readonly droppedShare: number;
  readonly massLostShare: number;
}

/** Loads over their mean, the fullest first: experts as a line, ranks with points. */
export function drawLoadCurves(frame: Frame, policies: readonly PolicyLoads[]): SVGSVGElement {
  const curve = (loads: readonly number[]): { at: number; load: number }[] => {
    const mean = loads.reduce((a, b) => a + b, 0) / loads.length;
    const sorted = [...loads].sort((a, b) => b - a);
    return sorted.map((load, i) => ({ at: (i + 0.5) / sorted.length, load: mean === 0 ? 0 : load / mean }));
  };
  return draw(frame, {
    height: 260,
    marginLeft: 48,
    x: { label: 'share of experts, the fullest first', domain: [0, 1] },
    y: { label: 'load / mean', grid: true, nice: true, zero: true },
    marks: [
      Plot.ruleY([1], { strokeDasharray: '4 3' }),
      ...policies.flatMap(({ loadOfExperts }, i) => [
        Plot.line(curve(loadOfExperts), { x: 'at', y: 'load', stroke: hue(i), strokeWidth: 2 }),
      ]),
      ...policies.map(({ policy, loadOfExperts }, i) =>
        Plot.text(curve(loadOfExperts).slice(0, 1), {
          ...{
            x: 'at',
            y: 'load',
            text: () => `${i + 1} ${policy}`,
            textAnchor: 'start',
            dx: 6,
            dy: 12 * i - 6,
          },
          fill: 'currentColor',
        }),
      ),
    ],
  });
}

/** Rows dropped and router mass lost of each policy. */
export function drawPolicies(frame: Frame, policies: readonly PolicyLoads[]): SVGSVGElement {
  const bars = policies.flatMap(({ policy, droppedShare, massLostShare }) => [
    { policy, what: 'rows dropped', share: 100 * Math.max(0, droppedShare), i: 1 },
    { policy, what: 'mass lost', share: 100 * Math.max(0, massLostShare), i: 0 },
  ]);
  return draw(frame, {
    height: 40 + 44 * policies.length,
    marginLeft: 100,
    marginRight: 130,
    x: { label: '%', grid: true, nice: true, zero: true },
    y: { label: null, axis: null },
    fy: {
      label: null,
      domain: policies.map(({ policy }) => policy),
      tickFormat: (name: string) => fitted(name, 14),
      axis: 'left',
    },
    marks: [
      Plot.barX(bars, { x: 'share', y: 'what', fy: 'policy', fill: ({ i }: { i: number }) => hue(i) }),
      Plot.text(bars, {
        ...{ x: 'share', y: 'what', fy: 'policy', textAnchor: 'start', dx: 4, fill: 'currentColor' },
        text: ({ what, share }: { what: string; share: number }) => `${share.toFixed(1)} % ${what}`,
      }),
    ],
  });
}

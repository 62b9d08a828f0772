/** Where the time of each stage goes: a bar per stage, a part per phase, told by number as well as by colour. */
import * as Plot from '@observablehq/plot';
import { maxOf, sum } from '../core/math.ts';
import { draw, fitted, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface StagePart {
  readonly stage: string;
  readonly phase: string;
  readonly ns: number;
}

/** A part that is narrower than this share of the longest bar has no room for its number. */
const LEAST_SHARE = { wide: 0.02, narrow: 0.05 };

/** The phases in the order of their numbers, which start at 1. */
export function phasesOf(parts: readonly StagePart[]): string[] {
  return [...new Set(parts.map(({ phase }) => phase))];
}

/** Parts of a stage lie in the order of `phasesOf`. */
export function drawStages(frame: Frame, parts: readonly StagePart[]): SVGSVGElement {
  const phases = phasesOf(parts);
  const stages = [...new Set(parts.map(({ stage }) => stage))];
  const longest = maxOf(
    stages.map((stage) => sum(parts.filter((part) => part.stage === stage).map(({ ns }) => ns))),
  );
  const least = longest * LEAST_SHARE[isNarrow(frame) ? 'narrow' : 'wide'];
  const bars = stages.flatMap((stage) => {
    let start = 0;
    return phases.flatMap((phase, i) => {
      const ns = sum(parts.filter((part) => part.stage === stage && part.phase === phase).map((p) => p.ns));
      start += ns;
      return ns === 0 ? [] : [{ stage, from: (start - ns) / 1e6, to: start / 1e6, ns, i }];
    });
  });
  const across = { x1: 'from', x2: 'to', y: 'stage' } as const;
  return draw(frame, {
    height: 54 + 34 * stages.length,
    marginLeft: 72,
    marginRight: 16,
    x: { label: 'ms', grid: true, nice: true },
    y: { label: null, domain: stages, padding: 0.2, tickFormat: (stage: string) => fitted(stage, 10) },
    marks: [
      Plot.barX(bars, { ...across, fill: ({ i }: { i: number }) => hue(i), stroke: 'var(--paper)' }),
      Plot.text(
        bars.filter(({ ns }) => ns >= least),
        {
          x: ({ from, to }: { from: number; to: number }) => (from + to) / 2,
          y: 'stage',
          text: ({ i }: { i: number }) => String(i + 1),
          fill: '#000',
        },
      ),
    ],
  });
}

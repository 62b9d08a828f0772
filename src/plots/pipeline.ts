/** A pipeline over time: what each stage does for which micro-batch, and the bubbles in which it has none. */
import * as Plot from '@observablehq/plot';
import { draw, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

export interface PipelineSlot {
  readonly stage: number;
  readonly microBatch: number;
  readonly beginNs: number;
  readonly ns: number;
}

export interface Bubble {
  readonly stage: number;
  readonly beginNs: number;
  readonly endNs: number;
}

/** A slot that is narrower than this share of the whole has no room for its number. */
const LEAST_SHARE = { wide: 0.02, narrow: 0.05 };

/** Between the slots of each stage, before the first and behind the last. Slots of a stage do not overlap. */
export function bubblesOf(slots: readonly PipelineSlot[], wallNs: number): Bubble[] {
  const stages = [...new Set(slots.map(({ stage }) => stage))].sort((a, b) => a - b);
  return stages.flatMap((stage) => {
    const own = slots.filter((slot) => slot.stage === stage).sort((a, b) => a.beginNs - b.beginNs);
    const begins = [...own.map(({ beginNs }) => beginNs), wallNs];
    const ends = [0, ...own.map(({ beginNs, ns }) => beginNs + ns)];
    return begins.flatMap((endNs, i) => {
      const beginNs = ends[i] ?? 0;
      return endNs - beginNs > wallNs * 1e-6 ? [{ stage, beginNs, endNs }] : [];
    });
  });
}

/** Filled: a micro-batch, by number from 0; a line through the middle: a bubble. @param wallNs more than 0. */
export function drawPipeline(frame: Frame, slots: readonly PipelineSlot[], wallNs: number): SVGSVGElement {
  const stages = [...new Set(slots.map(({ stage }) => stage))].sort((a, b) => a - b);
  const y = ({ stage }: { readonly stage: number }): string => `stage ${stage}`;
  const least = wallNs * LEAST_SHARE[isNarrow(frame) ? 'narrow' : 'wide'];
  const bars = slots.map((slot) => ({
    ...slot,
    from: slot.beginNs / 1e6,
    to: (slot.beginNs + slot.ns) / 1e6,
  }));
  const gaps = bubblesOf(slots, wallNs).map((gap) => ({
    ...{ stage: gap.stage, from: gap.beginNs / 1e6, to: gap.endNs / 1e6 },
  }));
  return draw(frame, {
    height: 54 + 30 * stages.length,
    marginLeft: 72,
    marginRight: 16,
    x: { label: 'ms', domain: [0, wallNs / 1e6], grid: true },
    y: { label: null, domain: stages.map((stage) => y({ stage })), padding: 0.2 },
    marks: [
      Plot.ruleY(gaps, { x1: 'from', x2: 'to', y, stroke: 'currentColor', strokeDasharray: '3,3' }),
      Plot.barX(bars, {
        ...{ x1: 'from', x2: 'to', y, stroke: 'var(--paper)' },
        fill: ({ microBatch }: PipelineSlot) => hue(microBatch),
      }),
      Plot.text(
        bars.filter(({ ns }) => ns >= least),
        {
          x: ({ from, to }: { from: number; to: number }) => (from + to) / 2,
          y,
          text: ({ microBatch }: PipelineSlot) => String(microBatch),
          fill: '#000',
        },
      ),
    ],
  });
}

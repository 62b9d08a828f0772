/** Memory of every rank: a bar per run of ranks that hold the same, a part per purpose. */
import * as Plot from '@observablehq/plot';
import { draw, isNarrow, type Frame } from './frame.ts';
import { hue } from './hues.ts';

/** Bytes of one rank by purpose, in the order of the purposes' numbers. */
export type RankBars = readonly number[];

/** Parts lie on each other in the order given; the table beside the drawing says which is which. */
export function drawMemory(frame: Frame, ranks: readonly RankBars[]): SVGSVGElement {
  const parts = runsOf(ranks).flatMap(({ first, end, bytes }) => {
    let below = 0;
    return bytes.map((own, i) => {
      below += own;
      return { first, end, i, from: (below - own) / 2 ** 20, to: below / 2 ** 20 };
    });
  });
  return draw(frame, {
    height: isNarrow(frame) ? 180 : 220,
    marginLeft: 48,
    marginRight: 16,
    x: { label: 'rank', domain: [0, ranks.length], ticks: isNarrow(frame) ? 4 : 8, tickFormat: 'd' },
    y: { label: 'MiB', grid: true, nice: true },
    marks: [
      Plot.rect(parts, {
        ...{ x1: 'first', x2: 'end', y1: 'from', y2: 'to' },
        fill: ({ i }: { i: number }) => hue(i),
        // Else the page shines through between two ranks.
        shapeRendering: 'crispEdges',
      }),
      Plot.ruleY([0], { stroke: 'currentColor' }),
    ],
  });
}

/** Neighbours that hold the same, joined: a drawing of a thousand ranks stays small. */
function runsOf(ranks: readonly RankBars[]): { first: number; end: number; bytes: RankBars }[] {
  const runs: { first: number; end: number; bytes: RankBars }[] = [];
  ranks.forEach((bytes, rank) => {
    const last = runs.at(-1);
    if (last?.bytes.join() === bytes.join()) last.end = rank + 1;
    else runs.push({ first: rank, end: rank + 1, bytes });
  });
  return runs;
}

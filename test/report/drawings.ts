/** Every drawing once, from data that stays the same: for Node and for a page. */
import { drawGrowth } from '../../src/plots/growth.ts';
import { drawHeatMap } from '../../src/plots/heat-map.ts';
import { drawMemory } from '../../src/plots/memory.ts';
import { drawPipeline } from '../../src/plots/pipeline.ts';
import { drawRatios } from '../../src/plots/ratios.ts';
import { drawRoofline } from '../../src/plots/roofline.ts';
import { drawStages } from '../../src/plots/stages.ts';

/** An element as plain data: its name, its attributes in order of name, its text or its children. */
export interface Walked {
  readonly name: string;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly text: string;
  readonly children: readonly Walked[];
}

function walk(element: Element): Walked {
  const children = [...element.children].map(walk);
  return {
    name: element.localName,
    attributes: [...element.attributes]
      .map(({ name, value }) => [name, value] as const)
      .filter(([name]) => name !== 'xmlns' && !name.startsWith('xmlns:'))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
    text: children.length === 0 ? (element.textContent ?? '') : '',
    children,
  };
}

export const HOSTILE = '</svg><script>alert(1)</script>"\'& <b onload=x>';

export function drawings(document: Document): SVGSVGElement[] {
  return [760, 328].flatMap((width) => {
    const frame = { document, width, label: HOSTILE };
    return [
      drawStages(frame, [
        { stage: 'stage 0', phase: 'attention', ns: 2.5e6 },
        { stage: 'stage 0', phase: 'experts', ns: 7.1e6 },
        { stage: HOSTILE, phase: 'experts', ns: 3.3e6 },
      ]),
      drawRoofline(frame, {
        peak: 4.9e10,
        slopes: [
          { name: '16 KiB', bytesPerSecond: 9.8e9 },
          { name: '64 MiB', bytesPerSecond: 5.9e9 },
        ],
        rows: [
          { intensity: 0.8, rate: 3.4e8, binds: 'bandwidth' },
          { intensity: 41, rate: 2.1e10, binds: 'compute' },
        ],
      }),
      drawPipeline(
        frame,
        [
          { stage: 0, microBatch: 0, beginNs: 0, ns: 2e6 },
          { stage: 0, microBatch: 1, beginNs: 2e6, ns: 1.7e6 },
          { stage: 1, microBatch: 0, beginNs: 2e6, ns: 1.1e6 },
          { stage: 1, microBatch: 1, beginNs: 3.7e6, ns: 1.3e6 },
        ],
        5e6,
      ),
      drawHeatMap(frame, {
        rows: 'rank',
        columns: HOSTILE,
        values: [
          [0, 3, 1],
          [7, 2, 5],
        ],
      }),
      drawMemory(frame, [
        [3e6, 1e5, 2e6, 4e3],
        [3.3e6, 2e5, 2e6, 4e3],
      ]),
      drawGrowth(frame, [
        {
          exponent: 1.1,
          points: [
            { size: 1, ns: 900, fitted: false },
            { size: 64, ns: 2.1e4, fitted: true },
            { size: 1024, ns: 4.4e5, fitted: true },
          ],
        },
        { exponent: undefined, points: [{ size: 128, ns: 7e3, fitted: false }] },
      ]),
      drawRatios(frame, [
        { name: HOSTILE, ratio: 1.2, low: 1.1, high: 1.3, word: 'slower' },
        { name: 'rope: 128', ratio: 0.9, low: 0.8, high: 0.95, word: 'faster' },
        { name: 'a', ratio: 1, low: 0.99, high: 1.01, word: 'same' },
        { name: 'b', ratio: 1, low: 0.5, high: 2, word: 'ambiguous' },
      ]),
    ];
  });
}

export const walkAll = (document: Document): Walked[] => drawings(document).map(walk);

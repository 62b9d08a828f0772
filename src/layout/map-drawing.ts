/** What drawings of ranks share: cells, frames and their colours, light or dark. */
import { xmlText } from '../core/text/xml.ts';

export const CELL = { width: 46, height: 34, gap: 2, groupGap: 8 } as const;

/** Stages take hues in turn; told by their rows as well. */
const STYLE =
  '.paper{fill:#fff}text{font-family:system-ui,sans-serif;fill:#222}.title{font-size:15px;font-weight:600}' +
  '.small{font-size:11px}.label{font-size:12px;font-weight:600}.rank{font-size:12px;text-anchor:middle}' +
  '.experts{font-size:9px;text-anchor:middle}.group{fill:none;stroke:#444;stroke-width:1.2;rx:4}' +
  '.cell{stroke:none;rx:3}.s0{fill:#cfe3f5}.s1{fill:#fbe1c4}.s2{fill:#d3eed2}.s3{fill:#ecd7ef}' +
  '@media(prefers-color-scheme:dark){.paper{fill:#15181c}text{fill:#eee}.group{stroke:#bbb}.s0{fill:#24435f}' +
  '.s1{fill:#6b4518}.s2{fill:#23512a}.s3{fill:#522b5a}}';
const HUES = 4;

export const rect = (kind: string, x: number, y: number, width: number, height: number): string =>
  `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}"/>`;

export const text = (x: number, y: number, words: string, kind: string): string =>
  `<text class="${kind}" x="${x}" y="${y}">${xmlText(words)}</text>`;

/** A rank: two lines in its cell, all of it where a pointer rests. */
export function cell(
  x: number,
  y: number,
  stage: number,
  { rank, held, told }: { readonly rank: number; readonly held: string; readonly told: string },
): string {
  return (
    `<g><title>${xmlText(told)}</title>${rect(`cell s${stage % HUES}`, x, y, CELL.width, CELL.height)}` +
    `${text(x + CELL.width / 2, y + 15, String(rank), 'rank')}${text(x + CELL.width / 2, y + 28, held, 'experts')}</g>`
  );
}

/** A frame around cells that lie from one x to another in a row. */
export const frame = (fromX: number, toX: number, y: number): string =>
  rect('group', fromX - 2, y - 1, toX - fromX + CELL.width + 4, CELL.height + 2);

/** SVG text that stands alone. */
export function sheet(label: string, width: number, height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${xmlText(label)}">`,
    `<style>${STYLE}</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

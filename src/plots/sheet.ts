/** Drawings below each other on one sheet that needs no page: colours and fonts are in it. */
import { xmlText } from '../core/text/xml.ts';

const STYLE =
  'svg{--paper:#fff;--ink:#16191d;--hue-1:#56b4e9;--hue-2:#e69f00;--hue-3:#3fb58e;--hue-4:#c9b400;--hue-5:#cc79a7;' +
  '--hue-6:#d98352;--hue-7:#8fa5ff;--hue-8:#b7b7b7;color:var(--ink);font:12px system-ui,sans-serif}.plot text{white-space:pre}';

const TITLE_HEIGHT = 28;

/** One SVG text. @param label what somebody who does not see it is told. */
export function sheetOf(
  drawings: readonly { readonly title: string; readonly svg: SVGSVGElement }[],
  width: number,
  label: string,
): string {
  let y = 0;
  const parts = drawings.map(({ title, svg }) => {
    const height = Number(svg.getAttribute('height'));
    svg.setAttribute('x', '0');
    svg.setAttribute('y', String(y + TITLE_HEIGHT));
    const head = `<text x="8" y="${y + 18}" font-weight="bold">${xmlText(title)}</text>`;
    y += TITLE_HEIGHT + height;
    return head + svg.outerHTML;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${y}" ` +
    `viewBox="0 0 ${width} ${y}" role="img" aria-label="${xmlText(label)}"><style>${STYLE}</style>` +
    `<rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`
  );
}

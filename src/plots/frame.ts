/**
 * What all drawings have in common. They are made by the same functions in Node and in a page: the document decides
 * where. Colours are the page's own (`--ink`, `--paper`, `--hue-1` to `--hue-8`), so a drawing follows its theme.
 */
import * as Plot from '@observablehq/plot';

export interface Frame {
  readonly document: Document;
  /** Units of the drawing, which are CSS pixels where there is room for them. */
  readonly width: number;
  /** What somebody who does not see the drawing is told. */
  readonly label: string;
}

/** Wide enough that a title of 30 letters fits beside. */
export const isNarrow = ({ width }: Frame): boolean => width < 480;

/** Room below an axis for its numbers and, lower than these, its label. */
const BELOW = 40;

/** One image to assistive technology: the label of the whole, none of parts that nobody can reach. */
export function draw({ document, width, label }: Frame, options: Plot.PlotOptions): SVGSVGElement {
  const drawn = Plot.plot({ marginBottom: BELOW, ...options, document, width, className: 'plot' });
  const svg = (drawn.localName === 'svg' ? drawn : drawn.querySelector('svg')) as SVGSVGElement;
  for (const style of [...svg.querySelectorAll('style')]) style.remove();
  for (const part of [...svg.querySelectorAll('[aria-label], [aria-description]')]) {
    part.removeAttribute('aria-label');
    part.removeAttribute('aria-description');
  }
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  return svg;
}

/** Names that are too long for the margin lose their end; the table beside the drawing has them whole. */
export function fitted(text: string, letters: number): string {
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`;
}

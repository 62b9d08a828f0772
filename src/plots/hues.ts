/** The colours of drawings, by number: the page's own `--hue-1` to `--hue-8`. */

/** As many as a reader can tell apart; more wrap around, and are told by their numbers. */
export const HUES = 8;

export const hue = (index: number): string => `var(--hue-${(index % HUES) + 1})`;

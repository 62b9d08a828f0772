import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven } from '../core/given.ts';
import { quoted, shortened } from '../core/text/quoted.ts';

/**
 * The tuple that names a layout. Moebius reads it folded: `ep` ranks hold the experts of a stage, the same ranks
 * form ep/tp tensor-parallel groups for attention, and `dp` counts full replicas. World size = ep * pp * dp.
 */
export interface LayoutSpec {
  /** Expert-parallel ranks of one stage of one replica. */
  readonly ep: number;
  /** Pipeline stages. */
  readonly pp: number;
  /** Ranks that share one attention block; a group among the `ep` ranks. */
  readonly tp: number;
  /** Full replicas of the model. */
  readonly dp: number;
}

export const SPEC_AXES = ['ep', 'pp', 'tp', 'dp'] as const;
export type SpecAxis = (typeof SPEC_AXES)[number];

/** The layout of the reference deployment: 128 ranks. */
export const CARD_LAYOUT: LayoutSpec = { ep: 16, pp: 4, tp: 2, dp: 2 };

/** Ranks are simulated one by one, so a layout has a largest size; it is far above any real one. A guess. */
export const MAX_WORLD_SIZE = 65_536;

/** formatLayout(CARD_LAYOUT) = 'ep=16,pp=4,tp=2,dp=2' */
export function formatLayout(spec: LayoutSpec): string {
  requireFields('The layout', spec, { ep: 'number', pp: 'number', tp: 'number', dp: 'number' });
  return SPEC_AXES.map((axis) => `${axis}=${spec[axis]}`).join();
}

/** Ranks in the folded reading. */
export function worldSizeOf(spec: LayoutSpec): number {
  return spec.ep * spec.pp * spec.dp;
}

const EXAMPLE = `"${formatLayout(CARD_LAYOUT)}"`;

/**
 * Reads 'ep=16,pp=4,tp=2,dp=2': any order, upper or lower case, blanks allowed, a missing axis is 1.
 * Whether the axes fit each other and a model is the business of `planLayout`.
 * @throws ConfigError when the text is not such a list.
 */
export function parseLayout(text: string): LayoutSpec {
  requireGiven('The layout', text, 'string');
  if (text.trim() === '') {
    throw new ConfigError(
      `The layout (${quoted(text)}) is empty; it must set at least one axis. Try ${EXAMPLE}.`,
    );
  }
  const sizes = new Map<SpecAxis, number>();
  for (const item of text.split(',')) {
    const { axis, size } = parseItem(item, text);
    const before = sizes.get(axis);
    if (before !== undefined) {
      throw new ConfigError(
        `The layout ${quoted(text)} sets ${axis} twice (${before} and ${size}); an axis has one size. ` +
          `Try one of ${axis}=${before} and ${axis}=${size}.`,
      );
    }
    sizes.set(axis, size);
  }
  const sizeOf = (axis: SpecAxis): number => sizes.get(axis) ?? 1;
  const spec = { ep: sizeOf('ep'), pp: sizeOf('pp'), tp: sizeOf('tp'), dp: sizeOf('dp') };
  checkSizes(spec);
  return spec;
}

function parseItem(item: string, text: string): { axis: SpecAxis; size: number } {
  const parts = item.split('=').map((part) => part.trim());
  const [name = '', value = ''] = parts;
  if (parts.length !== 2 || name === '' || value === '') {
    throw new ConfigError(
      `The layout ${quoted(text)} holds ${quoted(item.trim())}; each item must be axis=size, separated by commas. ` +
        `Try ${EXAMPLE}.`,
    );
  }
  const axis = SPEC_AXES.find((known) => known === name.toLowerCase());
  if (axis === undefined) {
    throw new ConfigError(
      `The layout ${quoted(text)} sets ${quoted(name)}, which is no axis; the axes are ${SPEC_AXES.join(', ')}. ` +
        `Try ${EXAMPLE}.`,
    );
  }
  if (!/^[+-]?\d+$/.test(value)) throw sizeError(axis, value);
  return { axis, size: Number(value) };
}

/** Each size alone and their product. @throws ConfigError */
export function checkSizes(spec: LayoutSpec): void {
  for (const axis of SPEC_AXES) {
    const size = spec[axis];
    if (!(Number.isInteger(size) && size >= 1 && size <= MAX_WORLD_SIZE)) throw sizeError(axis, String(size));
  }
  const world = worldSizeOf(spec);
  if (world > MAX_WORLD_SIZE) {
    throw new ConfigError(
      `The layout ${formatLayout(spec)} has ${world} ranks (ep*pp*dp = ${spec.ep}*${spec.pp}*${spec.dp}); ` +
        `the limit is ${MAX_WORLD_SIZE}. Try a smaller dp: replicas share nothing, so one tells the same.`,
    );
  }
}

function sizeError(axis: SpecAxis, value: string): ConfigError {
  return new ConfigError(
    `${axis} (${shortened(value)}) is not a whole number from 1 to ${MAX_WORLD_SIZE}, which an axis size must be. ` +
      `Try ${axis}=${CARD_LAYOUT[axis]}, or leave ${axis} out for 1.`,
  );
}

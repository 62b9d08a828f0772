/**
 * The angles of rotary positions from a config, in either age of its keys: `rope_theta` with `rope_scaling`, or
 * `rope_parameters`. The formulas are those of transformers' `modeling_rope_utils`.
 */
import { ConfigError } from '../../core/errors.ts';
import { range } from '../../core/math.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { RopeAngles, RopeTraits } from '../config.ts';
import type { ConfigFile } from './config-file.ts';

/** How the pairs of a head lie: i and i + half of the part that turns, or neighbours. */
export type PairStyle = 'halves' | 'interleaved';

export interface RopeReading {
  readonly theta: number;
  /** Absent where all pairs turn by theta^(-2i/headDim). */
  readonly rope?: RopeTraits;
  /** Element of a stored head that is to lie at each place of ours; undefined where nothing moves. */
  readonly order?: readonly number[];
}

const TYPES = ['default', 'linear', 'yarn', 'longrope', 'llama3'] as const;
type RopeType = (typeof TYPES)[number];

/** @param rotaryDim how many elements of a head turn, from the first on. @throws ConfigError naming the field. */
export function readRope(
  file: ConfigFile,
  size: { headDim: number; rotaryDim: number; maxPositions: number; style: PairStyle; theta?: number },
): RopeReading {
  const { headDim, rotaryDim, maxPositions, style } = size;
  const parameters = file.record('rope_parameters');
  const scaling = parameters ?? file.record('rope_scaling');
  const theta = parameters?.positiveOr('rope_theta', undefined) ?? file.positiveOr('rope_theta', size.theta);
  if (theta === undefined) {
    throw new ConfigError(
      `${file.label}: rope_theta is missing. Add the base that the model was trained with.`,
    );
  }
  if (!Number.isInteger(rotaryDim) || rotaryDim < 2 || rotaryDim > headDim || rotaryDim % 2 !== 0) {
    throw new ConfigError(
      `${file.label}: rotary positions turn ${rotaryDim} of ${headDim} elements of a head; it must be an even number ` +
        'up to all. Correct partial_rotary_factor, rotary_dim or head_dim.',
    );
  }
  const type = typeOf(scaling, file.label);
  const plain = type === 'default' && rotaryDim === headDim;
  const order = orderOf(headDim, rotaryDim, style);
  if (plain) return { theta, ...(order && { order }) };
  const whole = (angles: RopeAngles): RopeAngles => ({
    ...angles,
    frequencies: padded(angles.frequencies, headDim),
  });
  // What models were trained for may stand beside the record, and goes before what is in it.
  const original =
    file.countOr('original_max_position_embeddings', undefined) ??
    scaling?.countOr('original_max_position_embeddings', undefined) ??
    maxPositions;
  const base = { theta, dim: rotaryDim, maxPositions, original };
  const { long, ...short } = anglesOf(type, scaling, base);
  const rope: RopeTraits = {
    ...whole(short),
    ...(long && { long: { ...whole(long), beyond: long.beyond } }),
  };
  return { theta, rope, ...(order && { order }) };
}

function typeOf(scaling: ConfigFile | undefined, label: string): RopeType {
  const given = scaling?.any('rope_type') ?? scaling?.any('type');
  if (given === undefined) {
    if (scaling?.has('factor')) {
      throw new ConfigError(
        `${label}: rope_scaling has a factor and no rope_type. Name one of ${TYPES.join(', ')}.`,
      );
    }
    return 'default';
  }
  const type = TYPES.find((known) => known === (given === 'su' ? 'longrope' : given));
  if (type !== undefined) return type;
  throw new ConfigError(
    `${scaling?.label ?? label} sets rope_type to ${quoted(given)}, which is not supported. Supported: ${TYPES.join(', ')}.`,
  );
}

interface Base {
  readonly theta: number;
  readonly dim: number;
  readonly maxPositions: number;
  /** Positions before they were stretched. */
  readonly original: number;
}

function anglesOf(type: RopeType, scaling: ConfigFile | undefined, base: Base): RopeTraits {
  const plain = range(base.dim / 2).map((i) => base.theta ** ((-2 * i) / base.dim));
  if (type === 'default' || scaling === undefined) return { frequencies: plain, factor: 1 };
  switch (type) {
    case 'linear': {
      const factor = scaling.positive('factor');
      return { frequencies: plain.map((f) => f / factor), factor: 1 };
    }
    case 'llama3':
      return { frequencies: llama3(scaling, plain, base), factor: 1 };
    case 'yarn':
      return yarn(scaling, plain, base);
    case 'longrope':
      return longrope(scaling, plain, base);
  }
}

/** Long waves are stretched, short ones stay, those between are mixed. */
function llama3(scaling: ConfigFile, plain: readonly number[], { original }: Base): number[] {
  const factor = scaling.positive('factor');
  const low = scaling.positive('low_freq_factor');
  const high = scaling.positive('high_freq_factor');
  return plain.map((f) => {
    const wave = (2 * Math.PI) / f;
    if (wave < original / high) return f;
    if (wave > original / low) return f / factor;
    const smooth = (original / wave - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}

/** Peng et al., arXiv 2309.00071. */
function yarn(scaling: ConfigFile, plain: readonly number[], base: Base): RopeTraits {
  const { theta, dim, maxPositions, original } = base;
  const factor =
    original < maxPositions
      ? scaling.positiveOr('factor', maxPositions / original)
      : scaling.positive('factor');
  const fast = scaling.positiveOr('beta_fast', 32);
  const slow = scaling.positiveOr('beta_slow', 1);
  const truncate = scaling.flag('truncate', true);
  const place = (turns: number): number =>
    (dim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [from, to] = [place(fast), place(slow)];
  const low = Math.max(0, truncate ? Math.floor(from) : from);
  let high = Math.min(dim - 1, truncate ? Math.ceil(to) : to);
  if (low === high) high += 0.001;
  const frequencies = plain.map((f, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return (f / factor) * ramp + f * (1 - ramp);
  });
  const scale = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  const mscale = scaling.positiveOr('mscale', undefined);
  const all = scaling.positiveOr('mscale_all_dim', undefined);
  const derived = mscale !== undefined && all !== undefined ? scale(mscale) / scale(all) : scale(1);
  return { frequencies, factor: scaling.positiveOr('attention_factor', derived) };
}

/** Ding et al., arXiv 2402.13753: a factor per pair, one list up to the original length and one beyond. */
function longrope(
  scaling: ConfigFile,
  plain: readonly number[],
  { maxPositions, original }: Base,
): RopeTraits {
  const stretched = (key: string): number[] => {
    const factors = scaling.any(key);
    if (!Array.isArray(factors) || factors.length !== plain.length || !factors.every(isPositive)) {
      throw new ConfigError(
        `${scaling.label}: ${key} must be a list of ${plain.length} positive numbers, one per pair. Correct it.`,
      );
    }
    return plain.map((f, i) => f / (factors[i] as number));
  };
  const ratio = scaling.positiveOr('factor', maxPositions / original);
  const derived = ratio <= 1 ? 1 : Math.sqrt(1 + Math.log(ratio) / Math.log(original));
  const factor = scaling.positiveOr('attention_factor', derived);
  return {
    frequencies: stretched('short_factor'),
    factor,
    long: { frequencies: stretched('long_factor'), factor, beyond: original },
  };
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && Number.isFinite(value);
}

/** Pairs beyond those that turn stay. */
function padded(frequencies: readonly number[], headDim: number): number[] {
  return [...frequencies, ...range(headDim / 2 - frequencies.length).map(() => 0)];
}

/**
 * Kernels turn element i with i + headDim/2, so the rows of the projections are laid down in that order. Of 6 elements
 * of which 4 turn in halves: 0 with 2, 1 with 3, and 4, 5 stay -> [0, 1, 4, 2, 3, 5].
 */
export function orderOf(headDim: number, rotaryDim: number, style: PairStyle): number[] | undefined {
  if (style === 'halves' && rotaryDim === headDim) return undefined;
  const turning = rotaryDim / 2;
  const staying = (headDim - rotaryDim) / 2;
  const first = range(turning).map((i) => (style === 'halves' ? i : 2 * i));
  const second = range(turning).map((i) => (style === 'halves' ? turning + i : 2 * i + 1));
  const rest = (part: number): number[] => range(staying).map((i) => rotaryDim + part * staying + i);
  return [...first, ...rest(0), ...second, ...rest(1)];
}

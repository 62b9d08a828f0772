/** Seeded random numbers: the same seed gives the same stream in Node and in every browser. */
import { type Piecewise, piecewise } from './async/pieces.ts';
import { at } from './math.ts';

/** Integers in [0, 2^32): Weyl sequence through a 32-bit finaliser (the generator known as mulberry32). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (z ^ (z >>> 14)) >>> 0;
  };
}

export interface Random {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Normal with mean 0 and the given standard deviation (Box-Muller). */
  normal(deviation?: number): number;
  /** Integer in [0, n). */
  integer(n: number): number;
  /** `count` normal numbers in f32. */
  readonly normals: Piecewise<[count: number, deviation?: number], Float32Array>;
}

/** Normal numbers that take less than a millisecond. */
const PIECE = 4096;

export function seededRandom(seed: number): Random {
  const next = mulberry32(seed);
  const uniform = (): number => next() / 2 ** 32;
  const normal = (deviation = 1): number =>
    deviation * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return {
    uniform,
    normal,
    integer: (n) => Math.floor(uniform() * n),
    // A loop: `from` with a function takes five times as long.
    normals: piecewise(function* (count: number, deviation = 1) {
      const values = new Float32Array(count);
      for (let begin = 0; begin < count; begin += PIECE) {
        const end = Math.min(count, begin + PIECE);
        for (let i = begin; i < end; i++) values[i] = normal(deviation);
        yield;
      }
      return values;
    }),
  };
}

/** A 32-bit seed from a name (FNV-1a), so that every tensor has a stream of its own. */
export function seedOf(name: string, seed = 0): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash;
}

/** The same values in an order of chance (Fisher and Yates). */
export function shuffled<T>(values: readonly T[], random: Random): T[] {
  const result = [...values];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [result[i], result[j]] = [at(result, j), at(result, i)];
  }
  return result;
}

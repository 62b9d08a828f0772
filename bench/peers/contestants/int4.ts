/**
 * Weights in 4 bits: along a row, blocks of 32 share a scale; two values lie in a byte, the first in its low half;
 * value = (nibble - 8) scale. This project, MatMulNBits and QMoE agree on that, so all of them get the same bytes.
 */
import { at, product } from '../../../src/core/math.ts';
import { seededRandom, seedOf } from '../../../src/core/random.ts';
import { tensor, type Tensor } from '../../../src/tensor/tensor.ts';

export const BLOCK = 32;

export interface Int4Weights {
  /** [..., rows, depth] */
  readonly shape: readonly number[];
  /** Two values to a byte. */
  readonly packed: Uint8Array;
  /** One per block. */
  readonly scales: Float32Array;
}

/**
 * Random weights of the given standard deviation. A scale has 7 significant bits, so that a weight is the same
 * number in f16 and f32.
 */
export function int4Weights(name: string, shape: readonly number[], deviation: number): Int4Weights {
  const random = seededRandom(seedOf(name));
  const count = product(shape);
  const packed = new Uint8Array(count / 2);
  for (let i = 0; i < packed.length; i++) packed[i] = random.integer(256);
  // Nibbles of all values alike spread by 4.6 about -0.5.
  const step = 2 ** Math.floor(Math.log2(deviation / 4.6) - 6);
  const scales = new Float32Array(count / BLOCK);
  for (let i = 0; i < scales.length; i++) scales[i] = step * (64 + random.integer(64));
  return { shape, packed, scales };
}

/** `count` weights from `first`, a multiple of the block. */
export function dequantised({ packed, scales }: Int4Weights, first: number, count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const byte = packed[(first + i) / 2] ?? 0;
    const scale = scales[Math.floor((first + i) / BLOCK)] ?? 0;
    values[i] = ((byte & 15) - 8) * scale;
    values[i + 1] = ((byte >> 4) - 8) * scale;
  }
  return values;
}

/** As this project's ops take them: {b, b_scales}. */
export function int4Inputs(name: string, { shape, packed, scales }: Int4Weights): Record<string, Tensor> {
  const leading = shape.slice(0, -1);
  const depth = at(shape, shape.length - 1);
  return {
    [name]: tensor('u8', [...leading, depth / 2], packed),
    [`${name}_scales`]: tensor('f32', [...leading, depth / BLOCK], scales),
  };
}

/** Rows of two sets of weights in turns: those of `even` at 0, 2, 4 ..., those of `odd` between them. */
export function interleavedRows(even: Int4Weights, odd: Int4Weights): Int4Weights {
  const depth = at(even.shape, even.shape.length - 1);
  const rows = product(even.shape) / depth;
  const bytes = depth / 2;
  const blocks = depth / BLOCK;
  const packed = new Uint8Array(2 * even.packed.length);
  const scales = new Float32Array(2 * even.scales.length);
  [even, odd].forEach((part, which) => {
    for (let r = 0; r < rows; r++) {
      const to = 2 * r + which;
      packed.set(part.packed.subarray(r * bytes, (r + 1) * bytes), to * bytes);
      scales.set(part.scales.subarray(r * blocks, (r + 1) * blocks), to * blocks);
    }
  });
  return {
    shape: even.shape.map((size, d) => (d === even.shape.length - 2 ? 2 * size : size)),
    packed,
    scales,
  };
}

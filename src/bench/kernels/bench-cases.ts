/**
 * Cases to time, at the shapes that one GPU of the reference deployment meets (`card` preset: D 1024, 16 heads of 64,
 * F 2048, TP 2, one expert per GPU) and one whole layer of tiny-moe. They are checked like every other case.
 * The quick ones have each kernel at least once.
 */
import { piecewise } from '../../core/async/pieces.ts';
import { attention } from '../../ops/attention/attention.ts';
import { gateTopk } from '../../ops/moe/gate-topk.ts';
import { matmul } from '../../ops/dense/matmul.ts';
import { moe } from '../../ops/moe/moe.ts';
import { rmsNorm } from '../../ops/dense/rms-norm.ts';
import { rope } from '../../ops/dense/rope.ts';
import type { Maker } from '../../validate/draw/maker.ts';
import { opCases, type KernelCase } from '../../validate/kernel-case.ts';

/** Tokens of a case: a GPU needs many to be busy, a CPU is busy with few. */
export interface Scale {
  readonly rows: number;
  readonly expertRows: number;
  readonly sequence: number;
}

/** Guesses. */
export const SCALES: Readonly<Record<'gpu' | 'software', Scale>> = {
  gpu: { rows: 512, expertRows: 128, sequence: 512 },
  software: { rows: 32, expertRows: 8, sequence: 128 },
};

const [D, F, HEADS, DH, E] = [1024, 2048, 8, 64, 16];

export function benchCases({ rows, expertRows, sequence }: Scale): KernelCase[] {
  return [
    ...opCases(gateTopk, {
      [`${16 * rows} tokens, 16 experts`]: {
        quick: true,
        attrs: { k: 2 },
        tensors: (make) => ({ logits: make.normal([16 * rows, E]) }),
      },
      [`${2 * rows} tokens, 128 experts`]: {
        quick: true,
        attrs: { k: 8 },
        tensors: (make) => ({ logits: make.normal([2 * rows, 128]) }),
      },
    }),
    ...opCases(moe, {
      [`tiny-moe layer, ${8 * rows} tokens`]: {
        quick: true,
        attrs: { k: 2 },
        tensors: (make) => ({
          x: make.normal([8 * rows, 128]),
          logits: make.normal([8 * rows, E]),
          w1: make.weight([E, 96, 128]),
          w3: make.weight([E, 96, 128]),
          w2: make.weight([E, 128, 96]),
        }),
      },
      [`card expert, ${expertRows} rows`]: {
        attrs: { k: 1 },
        tensors: piecewise(function* (make: Maker) {
          return {
            x: make.normal([expertRows, D]),
            logits: make.normal([expertRows, 1]),
            w1: yield* make.weight.pieces([1, F, D]),
            w3: yield* make.weight.pieces([1, F, D]),
            w2: yield* make.weight.pieces([1, D, F]),
          };
        }),
      },
    }),
    ...opCases(attention, {
      [`prefill of ${sequence}, 8 heads`]: {
        quick: true,
        tensors: (make) => {
          const shape = [1, sequence, HEADS, DH];
          return { q: make.normal(shape), k: make.normal(shape), v: make.normal(shape) };
        },
      },
      [`decode 16 x ${2 * sequence}, 8 heads`]: {
        quick: true,
        tensors: piecewise(function* (make: Maker) {
          const past = [16, 2 * sequence, HEADS, DH];
          return {
            q: make.normal([16, 1, HEADS, DH]),
            k: yield* make.normal.pieces(past),
            v: yield* make.normal.pieces(past),
          };
        }),
      },
    }),
    ...opCases(rmsNorm, {
      [`${4 * rows} x ${D} + residual`]: {
        quick: true,
        tensors: (make) => {
          const shape = [4 * rows, D];
          return { x: make.normal(shape), residual: make.normal(shape), weight: make.normal([D]) };
        },
      },
    }),
    ...opCases(rope, {
      [`${4 * rows} x 8 heads`]: {
        quick: true,
        tensors: (make) => ({ x: make.normal([1, 4 * rows, HEADS, DH]) }),
      },
    }),
    ...opCases(matmul, {
      [`card q, k, v: ${rows} rows`]: {
        quick: true,
        tensors: piecewise(function* (make: Maker) {
          return { a: make.normal([rows, D]), b: yield* make.weight.pieces([3 * HEADS * DH, D]) };
        }),
      },
      [`card q, k, v: ${rows} rows, f16`]: {
        tensors: piecewise(function* (make: Maker) {
          return {
            a: make.normal([rows, D]),
            b: make.half(yield* make.weight.pieces([3 * HEADS * DH, D])),
          };
        }),
      },
      ['card q, k, v: 1 row']: {
        quick: true,
        tensors: piecewise(function* (make: Maker) {
          return { a: make.normal([1, D]), b: yield* make.weight.pieces([3 * HEADS * DH, D]) };
        }),
      },
    }),
  ];
}

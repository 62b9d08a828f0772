/** RMSNorm of queries and keys in place, with its clamp, and the middle of a plain gated unit. T rows, H heads of Dh. */
import { at, range } from '../../core/math.ts';
import { gatedMiddle } from '../../kernels/dense/gated-unit.ts';
import { prepareQkNorm } from '../../kernels/dense/qk-norm.ts';
import { budgetOf, DIVISION, SQUARE_ROOT } from '../../ops/budgets.ts';
import { type Tensor, toF64 } from '../../tensor/tensor.ts';
import type { Maker } from '../draw/maker.ts';
import type { Internal, InternalCase } from './internal-case.ts';

interface NormSizes {
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dim: number;
  readonly over: 'head' | 'width';
  readonly clip?: number;
}

/** The heads of a row one after the other: those of q, of k and of v. */
function qkNorm(make: Maker, sizes: NormSizes): Internal {
  const { rows, heads, kvHeads, dim, over, clip } = sizes;
  const eps = 0.01;
  const all = heads + 2 * kvHeads;
  const qkv = make.normal([rows, all, dim]);
  const weight = make.normal(over === 'head' ? [2, dim] : [heads + kvHeads, dim]);
  const values = toF64(qkv);
  const part = (t: number, first: number, count: number): Float64Array =>
    values.subarray((t * all + first) * dim, (t * all + first + count) * dim);
  const squares = (part: Float64Array): number => part.reduce((total, v) => total + v * v, 0);
  const wanted = Float64Array.from(values);
  const sums = range(rows).flatMap((t) => [squares(part(t, 0, heads)), squares(part(t, heads, kvHeads))]);
  for (let i = 0; i < wanted.length; i++) {
    const [t, h, d] = [Math.floor(i / (all * dim)), Math.floor(i / dim) % all, i % dim];
    const isKey = Number(h >= heads);
    if (h < heads + kvHeads) {
      const ofWidth = at(sums, 2 * t + isKey) / ((isKey === 1 ? kvHeads : heads) * dim);
      const mean = over === 'width' ? ofWidth : squares(part(t, h, 1)) / dim;
      const w = at(weight.data, (over === 'width' ? h : isKey) * dim + d);
      wanted[i] = (w * at(values, i)) / Math.sqrt(mean + eps);
    }
    if (clip !== undefined) wanted[i] = Math.min(clip, Math.max(-clip, at(wanted, i)));
  }
  const summed = over === 'width' ? Math.max(heads, kvHeads) * dim : dim;
  const roundings = (summed + 4 + DIVISION) / 2 + SQUARE_ROOT + DIVISION + 3;
  const ofSums = Float64Array.from(sums);
  return {
    expected: {
      qkv: { values: wanted, shape: qkv.shape, budget: budgetOf(wanted, roundings) },
      ...(over === 'width' && {
        squares: { values: ofSums, shape: [rows, 2], budget: budgetOf(ofSums, summed + 1) },
      }),
    },
    bytes: 8 * qkv.data.length,
    prepare: async (space) => {
      const counts = { numHeads: heads, numKvHeads: kvHeads };
      const kernel = await prepareQkNorm(space.gpu, {
        ...{ ...counts, headDim: dim, over, eps, clip, all: counts, keyCopies: 1 },
      });
      const given = space.activation('given', qkv);
      const t = {
        qkv: space.output('qkv', qkv.shape, 'f32'),
        weight: space.activation('weight', weight),
        ...(over === 'width' && { squares: space.output('squares', [rows, 2], 'f32') }),
      };
      return (commands) => {
        commands.copy(given, t.qkv, 4 * qkv.data.length);
        if (t.squares) kernel.recordSquares(commands, rows, { qkv: t.qkv, squares: t.squares });
        kernel.record(commands, rows, t, t.weight);
      };
    },
  };
}

/** Whole numbers: the product of gate and up is exact. */
function unitMiddle(make: Maker, rows: number, width: number): Internal {
  const u = make.whole([rows, 2 * width], 1000);
  const of = (t: Tensor, row: number, f: number): number => at(t.data, row * 2 * width + f);
  const wanted = range(rows * width).map((i) => {
    const [t, f] = [Math.floor(i / width), i % width];
    return Math.max(0, of(u, t, f)) * of(u, t, width + f);
  });
  return {
    expected: { h: { values: wanted, shape: [rows, width] } },
    bytes: 12 * rows * width,
    prepare: async (space) => {
      const kernel = await space.gpu.kernel(gatedMiddle, { ACT: 3 });
      const t = { u_TC: space.activation('u', u), h_TF: space.output('h', [rows, width], 'f32') };
      return (commands) => commands.dispatch(kernel, { numRows: rows, width }, t);
    },
  };
}

export const normCases: Readonly<Record<string, InternalCase>> = {
  'norm of queries and keys, each head': (make) =>
    qkNorm(make, { rows: 7, heads: 3, kvHeads: 2, dim: 21, over: 'head' }),
  'norm of queries and keys, clamped with the values': (make) =>
    qkNorm(make, { rows: 5, heads: 4, kvHeads: 1, dim: 10, over: 'head', clip: 0.75 }),
  'norm of queries and keys, all heads together': (make) =>
    qkNorm(make, { rows: 7, heads: 3, kvHeads: 2, dim: 21, over: 'width' }),
  'the middle of a gated unit': (make) => unitMiddle(make, 5, 21),
};

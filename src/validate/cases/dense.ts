/** Cases of `matmul`, `rms-norm` and `rope`. */
import { matmul } from '../../ops/dense/matmul.ts';
import { rmsNorm } from '../../ops/dense/rms-norm.ts';
import { rope } from '../../ops/dense/rope.ts';
import { quantisedTensors } from '../../ops/quantised-inputs.ts';
import { quantise } from '../../tensor/quantise.ts';
import { QUANT_FORMATS, type QuantFormat } from '../../tensor/quantised.ts';
import { castFloat, f32Tensor, type Tensor } from '../../tensor/tensor.ts';
import { type OpCase, opCases } from '../kernel-case.ts';
import type { Maker } from '../draw/maker.ts';
import { infiniteRows } from '../draw/infinite.ts';

const product = (make: Maker, m: number, n: number, k: number): { a: Tensor; b: Tensor } => ({
  a: make.normal([m, k]),
  b: make.weight([n, k]),
});

/** Rows times powers of ten, from 10^-most on, up and down again. */
const spread = (t: Tensor, most: number): Tensor => {
  const [, width = 1] = t.shape;
  const power = (row: number): number => (row % (2 * most + 1)) - most;
  return f32Tensor(
    t.shape,
    Float32Array.from(t.data, (value, i) => value * 10 ** power(Math.floor(i / width))),
  );
};

/** Matrices of which a row begins with Inf and a row ends with it, in positive rows: all their products are Inf of a sign. */
const withEnds = (make: Maker, { a, b }: { a: Tensor; b: Tensor }): { a: Tensor; b: Tensor } => ({
  a: infiniteRows(make, a, 3, 9),
  b: infiniteRows(make, b, 3, 9),
});

/** Rows of int8 may have any length; those of the others are blocks of 32. Outliers spread the scales. */
const fewBits = (format: QuantFormat): Record<string, OpCase> => {
  const of = (m: number, n: number, k: number): OpCase['tensors'] => {
    const b = (make: Maker): Tensor => (k < 1000 ? make.outliers([n, k], 0.1) : make.weight([n, k]));
    return (make) => ({ a: make.normal([m, k]), ...quantisedTensors('b', quantise(b(make), format)) });
  };
  return {
    [`${format}, one block`]: { tensors: of(1, 1, 32) },
    [`${format}, primes`]: { quick: true, tensors: of(37, 29, format === 'int8' ? 53 : 96) },
    [`${format}, multiples of the tiles`]: { tensors: of(64, 96, 128) },
    [`${format}, one row`]: { quick: true, tensors: of(1, 131, 96) },
    [`${format}, one column`]: { tensors: of(67, 1, 64) },
    [`${format}, K = 1,024`]: { tensors: of(9, 33, 1024) },
    [`${format}, K = 1,024, one row`]: { tensors: of(1, 33, 1024) },
    [`${format}, f16 rows`]: {
      tensors: (make) => {
        const { a = make.normal([0, 0]), ...b } = of(19, 33, 96)(make);
        return { a: make.half(a), ...b };
      },
    },
  };
};

export const matmulCases = opCases(matmul, {
  'one element': { quick: true, tensors: (make) => product(make, 1, 1, 1) },
  'no rows': { tensors: (make) => product(make, 0, 5, 3) },
  primes: { quick: true, tensors: (make) => product(make, 37, 29, 53) },
  'multiples of the tiles': { quick: true, tensors: (make) => product(make, 64, 96, 128) },
  'one row': { tensors: (make) => product(make, 1, 130, 64) },
  'one column': { tensors: (make) => product(make, 130, 1, 64) },
  'deep, one row': { tensors: (make) => product(make, 1, 3, 4096) },
  'K = 1,000': { tensors: (make) => product(make, 9, 33, 1000) },
  'f16 weights': {
    tensors: (make) => {
      const { a, b } = product(make, 19, 33, 68);
      return { a, b: make.half(b) };
    },
  },
  'f16 weights, odd K': {
    tensors: (make) => {
      const { a, b } = product(make, 19, 33, 67);
      return { a, b: make.half(b) };
    },
  },
  'bf16 weights': {
    tensors: (make) => {
      const { a, b } = product(make, 19, 33, 72);
      return { a, b: castFloat(b, 'bf16') };
    },
  },
  'bf16 weights, odd K, one row': {
    tensors: (make) => {
      const { a, b } = product(make, 1, 33, 67);
      return { a, b: castFloat(b, 'bf16') };
    },
  },
  'f16 everywhere': {
    tensors: (make) => {
      const { a, b } = product(make, 19, 33, 68);
      return { a: make.half(a), b: make.half(b) };
    },
  },
  outliers: { tensors: (make) => ({ a: make.outliers([20, 100]), b: make.outliers([30, 100], 0.1) }) },
  ...Object.fromEntries(QUANT_FORMATS.flatMap((format) => Object.entries(fewBits(format)))),
  'int8, one element': {
    tensors: (make) => ({
      a: make.normal([1, 1]),
      ...quantisedTensors('b', quantise(make.normal([1, 1]), 'int8')),
    }),
  },
  'int8, primes in fours': {
    quick: true,
    tensors: (make) => ({
      a: make.outliers([37, 52]),
      ...quantisedTensors('b', quantise(make.outliers([29, 52], 0.1), 'int8')),
    }),
  },
  'int8, infinite rows': {
    tensors: (make) => ({
      a: infiniteRows(make, make.normal([37, 52]), 3, 9),
      // No step is 0, which times Infinity is NaN.
      ...quantisedTensors(
        'b',
        quantise(
          make.filled([29, 52], () => 1 + make.random.uniform()),
          'int8',
        ),
      ),
    }),
  },
  'primes in fours': { quick: true, tensors: (make) => product(make, 37, 29, 52) },
  'infinite rows': { quick: true, tensors: (make) => withEnds(make, product(make, 37, 29, 53)) },
  'infinite rows, in fours': { tensors: (make) => withEnds(make, product(make, 37, 29, 52)) },
  'rows of many magnitudes': {
    tensors: (make) => ({ a: spread(make.normal([19, 68]), 9), b: spread(make.weight([33, 68]), 5) }),
  },
  'int4, rows of many magnitudes': {
    tensors: (make) => ({
      a: spread(make.normal([19, 64]), 9),
      ...quantisedTensors('b', quantise(spread(make.weight([33, 64]), 5), 'int4')),
    }),
  },
  'rows and blocks of zeros in few bits': {
    tensors: (make) => ({
      a: make.normal([5, 64]),
      ...quantisedTensors(
        'b',
        quantise(
          make.filled([7, 64], (i) => (i % 128 < 64 ? 0 : i % 3)),
          'int4',
        ),
      ),
    }),
  },
});

const rows = (make: Maker, t: number, d: number): { x: Tensor; weight: Tensor } => ({
  x: make.normal([t, d]),
  weight: make.normal([d]),
});

export const normCases = opCases(rmsNorm, {
  'one element': { quick: true, tensors: (make) => rows(make, 1, 1) },
  'no rows': { tensors: (make) => rows(make, 0, 8) },
  primes: { quick: true, tensors: (make) => rows(make, 37, 101) },
  residual: {
    quick: true,
    tensors: (make) => ({ ...rows(make, 13, 128), residual: make.normal([13, 128]) }),
  },
  'width 1,000': { tensors: (make) => rows(make, 3, 1000) },
  'width 2,052': { tensors: (make) => ({ ...rows(make, 2, 2052), residual: make.normal([2, 2052]) }) },
  'rows of zeros': { tensors: (make) => ({ x: make.filled([3, 9], () => 0), weight: make.normal([9]) }) },
  'eps that matters': {
    attrs: { eps: 0.5 },
    tensors: (make) => ({ x: make.normal([5, 64], 0.5), weight: make.normal([64]) }),
  },
  outliers: { tensors: (make) => ({ x: make.outliers([9, 100]), weight: make.outliers([100]) }) },
  'f16 everywhere': {
    tensors: (make) => ({
      x: make.half(make.normal([7, 48])),
      weight: make.half(make.normal([48])),
      residual: make.half(make.normal([7, 48])),
    }),
  },
  'more rows than one grid dimension': { tensors: (make) => rows(make, 66000, 2) },
});

export const ropeCases = opCases(rope, {
  'one pair': { quick: true, tensors: (make) => ({ x: make.normal([1, 1, 1, 2]) }) },
  'no positions': { tensors: (make) => ({ x: make.normal([2, 0, 3, 4]) }) },
  halves: { quick: true, tensors: (make) => ({ x: make.normal([2, 7, 3, 10]) }) },
  interleaved: {
    quick: true,
    attrs: { interleaved: true },
    tensors: (make) => ({ x: make.normal([2, 7, 3, 10]) }),
  },
  'sequence 1,000': { tensors: (make) => ({ x: make.normal([1, 1000, 1, 16]) }) },
  'far offset': {
    attrs: { offset: 131071, theta: 500000 },
    tensors: (make) => ({ x: make.normal([1, 5, 2, 64]) }),
  },
  'f16 everywhere': { tensors: (make) => ({ x: make.half(make.normal([2, 7, 3, 10])) }) },
});

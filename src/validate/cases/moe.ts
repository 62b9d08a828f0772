/** Cases of `moe`. */
import { moe } from '../../ops/moe/moe.ts';
import { quantisedTensors } from '../../ops/quantised-inputs.ts';
import { quantise } from '../../tensor/quantise.ts';
import { QUANT_FORMATS, type QuantFormat } from '../../tensor/quantised.ts';
import { castFloat, type Tensor } from '../../tensor/tensor.ts';
import { type OpCase, opCases } from '../kernel-case.ts';
import { infiniteRows } from '../draw/infinite.ts';
import type { Maker } from '../draw/maker.ts';

interface Sizes {
  readonly tokens: number;
  readonly dim: number;
  readonly experts: number;
  readonly width: number;
}

interface Choice {
  readonly gated?: boolean;
  readonly biases?: readonly ('b1' | 'b2' | 'b3')[];
  readonly logits?: (make: Maker, sizes: Sizes) => Tensor;
  readonly x?: (make: Maker, shape: readonly number[]) => Tensor;
}

const SMALL: Sizes = { tokens: 21, dim: 16, experts: 5, width: 24 };
const PRIMES: Sizes = { tokens: 37, dim: 13, experts: 7, width: 11 };

function layer(make: Maker, sizes: Sizes, choice: Choice = {}): Record<string, Tensor> {
  const { tokens, dim, experts, width } = sizes;
  const { gated = true, biases = [], logits, x } = choice;
  const shapes = { b1: [experts, width], b2: [experts, dim], b3: [experts, width] };
  return {
    x: x?.(make, [tokens, dim]) ?? make.normal([tokens, dim]),
    logits: logits?.(make, sizes) ?? make.normal([tokens, experts]),
    w1: make.weight([experts, width, dim]),
    ...(gated && { w3: make.weight([experts, width, dim]) }),
    w2: make.weight([experts, dim, width]),
    ...Object.fromEntries(biases.map((name) => [name, make.normal(shapes[name])])),
  };
}

const halves = (
  make: Maker,
  tensors: Record<string, Tensor>,
  names: readonly string[],
): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(tensors).map(([n, t]) => [n, names.includes(n) ? make.half(t) : t]));

const inBf16 = (tensors: Record<string, Tensor>): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tensors).map(([n, t]) => [n, /^w[123]$/.test(n) ? castFloat(t, 'bf16') : t]),
  );

/** The three matrices rounded to a format, or to one for w1 and w3 and another for w2. */
const rounded = (
  tensors: Record<string, Tensor>,
  up: QuantFormat,
  down: QuantFormat = up,
): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([name, t]) => {
      if (!/^w[123]$/.test(name)) return [[name, t] as const];
      return Object.entries(quantisedTensors(name, quantise(t, name === 'w2' ? down : up)));
    }),
  );

/** Rows that end where the lanes of kernels along k have each read whole panels. */
const PANELS: Sizes = { tokens: 3, dim: 64, experts: 3, width: 128 };
const BLOCKS: Sizes = { tokens: 21, dim: 64, experts: 5, width: 96 };

/** Each format with an activation of its own, which saves compiling one for the other. */
const ACTIVATION_OF = { int8: 'relu', int4: 'identity', mxfp4: 'silu' } as const;

const fewBits = (format: QuantFormat): Record<string, OpCase> => {
  const activation = ACTIVATION_OF[format];
  return {
    [`${format} weights`]: {
      quick: true,
      attrs: { k: 2, activation },
      tensors: (make) => rounded(layer(make, BLOCKS), format),
    },
    [`${format} weights, one token`]: {
      quick: true,
      attrs: { k: 2, activation },
      tensors: (make) => rounded(layer(make, { ...BLOCKS, tokens: 1 }), format),
    },
    [`${format} weights, an empty expert, 70 tokens`]: {
      attrs: { k: 2, activation },
      tensors: (make) => rounded(layer(make, { ...BLOCKS, tokens: 70 }, { logits: without(0, 3) }), format),
    },
    [`${format} weights, wide`]: {
      attrs: { k: 1, activation },
      tensors: (make) => rounded(layer(make, { tokens: 11, dim: 1024, experts: 2, width: 32 }), format),
    },
  };
};

const intNotGated = (tokens: number): OpCase => ({
  attrs: { k: 3, activation: 'gelu' },
  tensors: (make) =>
    rounded(layer(make, { ...BLOCKS, tokens }, { gated: false, biases: ['b1', 'b2'] }), 'int4'),
});

const gptOss = (tokens: number): OpCase => ({
  attrs: { k: 2, activation: 'swiglu_oai', limit: 0.75 },
  tensors: (make) => rounded(layer(make, { ...BLOCKS, tokens }, { biases: ['b1', 'b2', 'b3'] }), 'mxfp4'),
});

/** Normal logits, but those of the named experts are out of reach. */
const without =
  (...empty: number[]) =>
  (make: Maker, { tokens, experts }: Sizes): Tensor =>
    make.filled([tokens, experts], (i) => make.random.normal() - (empty.includes(i % experts) ? 30 : 0));

function routed(make: Maker, sizes: Sizes): Record<string, Tensor> {
  const tensors = layer(make, sizes, { x: (m, shape) => m.whole(shape, 2) });
  delete tensors['logits'];
  return { ...tensors, gate: make.whole([sizes.experts, sizes.dim], 1) };
}

/** Some rows of x, one of an expert's w1 and one of another's w2 are infinite; all else is positive, so that nothing is NaN. */
function infinite(make: Maker, sizes: Sizes): Record<string, Tensor> {
  const { logits, ...others } = layer(make, sizes);
  const positive = (t: Tensor): Tensor => make.filled(t.shape, (i) => Math.abs(t.data[i] ?? 0));
  const rows = {
    x: [3, 9],
    w1: [sizes.width + 2, sizes.width + 4],
    w2: [2 * sizes.dim + 2, 2 * sizes.dim + 4],
  };
  const tensors = Object.entries(others).map(([name, t]) => {
    const [first, last] = rows[name as keyof typeof rows] ?? [];
    if (first === undefined || last === undefined) return [name, positive(t)] as const;
    return [name, infiniteRows(make, positive(t), first, last)] as const;
  });
  return { ...Object.fromEntries(tensors), ...(logits && { logits }) };
}

const activations: Record<string, OpCase> = Object.fromEntries(
  (['silu', 'gelu', 'relu', 'identity'] as const).flatMap((activation) =>
    [true, false].map((gated) => [
      `${activation}, ${gated ? 'gated' : 'not gated'}`,
      { attrs: { k: 2, activation }, tensors: (make: Maker) => layer(make, SMALL, { gated }) },
    ]),
  ),
);

export const moeCases = opCases(moe, {
  'one token': {
    quick: true,
    attrs: { k: 2 },
    tensors: (make) => layer(make, { ...SMALL, tokens: 1 }),
  },
  'no tokens': { attrs: { k: 2 }, tensors: (make) => layer(make, { ...SMALL, tokens: 0 }) },
  primes: { quick: true, attrs: { k: 3 }, tensors: (make) => layer(make, PRIMES) },
  'widths of two kinds': { attrs: { k: 2 }, tensors: (make) => layer(make, { ...SMALL, width: 13 }) },
  'an empty expert': {
    quick: true,
    attrs: { k: 2 },
    tensors: (make) => layer(make, SMALL, { logits: without(0, 3) }),
  },
  'all tokens to one expert': {
    attrs: { k: 1 },
    tensors: (make) => layer(make, { ...SMALL, tokens: 70 }, { logits: without(0, 1, 3, 4) }),
  },
  'rows beyond f16': {
    attrs: { k: 2 },
    tensors: (make) =>
      layer(make, SMALL, {
        x: (m, shape) =>
          m.filled(shape, (i) => m.random.normal() * (Math.floor(i / SMALL.dim) % 3 === 0 ? 1e6 : 1)),
      }),
  },
  'infinite rows': { quick: true, attrs: { k: 1 }, tensors: (make) => infinite(make, PRIMES) },
  'infinite rows, in fours': {
    attrs: { k: 1 },
    tensors: (make) => infinite(make, { ...SMALL, dim: 20, width: 28 }),
  },
  'k = E': { attrs: { k: 5 }, tensors: (make) => layer(make, SMALL) },
  'E = 1': { attrs: { k: 1 }, tensors: (make) => layer(make, { ...SMALL, experts: 1 }) },
  'E = 256': {
    attrs: { k: 4 },
    tensors: (make) => layer(make, { tokens: 9, dim: 8, experts: 256, width: 8 }),
  },
  'width 1': { attrs: { k: 2 }, tensors: (make) => layer(make, { tokens: 3, dim: 1, experts: 3, width: 1 }) },
  ...activations,
  'swiglu_oai, clamped': {
    attrs: { k: 2, activation: 'swiglu_oai', limit: 0.75, alpha: 1.5, beta: 0.5 },
    tensors: (make) => layer(make, SMALL, { biases: ['b1', 'b2', 'b3'] }),
  },
  'all biases': {
    quick: true,
    attrs: { k: 2 },
    tensors: (make) => layer(make, SMALL, { biases: ['b1', 'b2', 'b3'] }),
  },
  'bias of the up projection alone': {
    attrs: { k: 2 },
    tensors: (make) => layer(make, SMALL, { biases: ['b3'] }),
  },
  'biases, not gated': {
    attrs: { k: 2 },
    tensors: (make) => layer(make, SMALL, { gated: false, biases: ['b1', 'b2'] }),
  },
  'sigmoid, not renormalized': {
    attrs: { k: 2, score: 'sigmoid', renormalize: false },
    tensors: (make) => layer(make, SMALL),
  },
  'f16 weights': {
    quick: true,
    attrs: { k: 2 },
    tensors: (make) => halves(make, layer(make, SMALL), ['w1', 'w2', 'w3']),
  },
  'f16 weights, odd widths': {
    attrs: { k: 3 },
    tensors: (make) => halves(make, layer(make, PRIMES), ['w1', 'w2', 'w3']),
  },
  'f16 everywhere': {
    attrs: { k: 2 },
    tensors: (make) => halves(make, layer(make, SMALL), ['x', 'logits', 'w1', 'w2', 'w3']),
  },
  'bf16 weights': {
    attrs: { k: 2 },
    tensors: (make) => inBf16(layer(make, SMALL)),
  },
  'bf16 weights, odd widths, one token': {
    attrs: { k: 3 },
    tensors: (make) => inBf16(layer(make, { ...PRIMES, tokens: 1 })),
  },
  ...Object.fromEntries(QUANT_FORMATS.flatMap((format) => Object.entries(fewBits(format)))),
  'whole panels': { attrs: { k: 2 }, tensors: (make) => layer(make, PANELS) },
  'int8 weights, primes': { attrs: { k: 3 }, tensors: (make) => rounded(layer(make, PRIMES), 'int8') },
  'int8 weights, in fours': {
    attrs: { k: 2, activation: ACTIVATION_OF.int8 },
    tensors: (make) => rounded(layer(make, { ...SMALL, dim: 20, width: 28 }), 'int8'),
  },
  'int8 weights, infinite rows': {
    attrs: { k: 2, activation: ACTIVATION_OF.int8 },
    tensors: (make) => {
      const { x, logits, ...weights } = layer(make, BLOCKS, {
        x: (m, s) => infiniteRows(m, m.normal(s), 3, 9),
      });
      // No step is 0, which times Infinity is NaN.
      const positive: Record<string, Tensor> = {};
      for (const [name, { shape }] of Object.entries(weights)) {
        positive[name] = make.filled(shape, () => (1 + make.random.uniform()) / 64);
      }
      return { ...(x && { x }), ...(logits && { logits }), ...rounded(positive, 'int8') };
    },
  },
  'int4 weights, not gated, biases': intNotGated(21),
  'int4 weights, not gated, biases, one token': intNotGated(1),
  'mxfp4 weights as in gpt-oss, clamped': gptOss(21),
  'mxfp4 weights as in gpt-oss, clamped, one token': gptOss(1),
  'int4 up, int8 down': {
    attrs: { k: 2 },
    tensors: (make) => rounded(layer(make, BLOCKS), 'int4', 'int8'),
  },
  'f16 gate, f32 up': { attrs: { k: 2 }, tensors: (make) => halves(make, layer(make, SMALL), ['w1']) },
  outliers: {
    attrs: { k: 2 },
    tensors: (make) => layer(make, SMALL, { x: (m, shape) => m.outliers(shape) }),
  },
  'large logits': {
    attrs: { k: 3, renormalize: false },
    tensors: (make) => layer(make, SMALL, { logits: (m, s) => m.normal([s.tokens, s.experts], 30) }),
  },
  'equal logits': {
    attrs: { k: 2 },
    tensors: (make) => layer(make, SMALL, { logits: (m, s) => m.filled([s.tokens, s.experts], () => -1) }),
  },
  // Whole numbers: the logits are exact, so the choice is too.
  'gate instead of logits': {
    quick: true,
    attrs: { k: 2 },
    tensors: (make) => routed(make, SMALL),
  },
  'gate instead of logits, one token': {
    quick: true,
    attrs: { k: 2 },
    tensors: (make) => routed(make, { ...SMALL, tokens: 1 }),
  },
  'gate instead of logits, two tokens in f16 weights': {
    attrs: { k: 3 },
    tensors: (make) => halves(make, routed(make, { ...SMALL, tokens: 2 }), ['w1', 'w2', 'w3', 'gate']),
  },
  '1,000 tokens': {
    attrs: { k: 2 },
    tensors: (make) => layer(make, { tokens: 1000, dim: 16, experts: 8, width: 24 }),
  },
});

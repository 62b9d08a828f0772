/** Gather, combine, add, the append to the KV cache and the fused router, on numbers that f32 holds exactly. */
import { at, balancedRun, range } from '../../core/math.ts';
import type { GpuBuffer } from '../../gpu/buffer.ts';
import { prepareRouter } from '../../kernels/routing/router.ts';
import { prepareRopeAppend } from '../../kernels/attention/rope.ts';
import { prepareAdd, prepareCombine, prepareGatherRows } from '../../kernels/routing/rows.ts';
import { budgetOf, scoreRoundings } from '../../ops/budgets.ts';
import { gateTopK } from '../../reference/gate.ts';
import { matmul } from '../../reference/matmul.ts';
import type { FloatWeight } from '../../tensor/quantised.ts';
import { castFloat, f32Tensor, tensor, toF32, toF64 } from '../../tensor/tensor.ts';
import type { Maker } from '../draw/maker.ts';
import type { Internal, InternalCase, InternalExpected } from './internal-case.ts';

const NO_SLOT = 0xffffffff;
const NAN_BITS = 0x7fc00000;

/** Bits, so that the NaN of an index outside of the source is compared too. */
function gather(
  make: Maker,
  rows: number,
  width: number,
  source: number,
  outside: number,
  dtype: FloatWeight = 'f32',
  parts = 1,
): Internal {
  // bf16 holds fewer whole numbers.
  const x = castFloat(make.whole([source, width], dtype === 'bf16' ? 250 : 2000), dtype);
  const index = Uint32Array.from({ length: rows }, (_, r) =>
    r % 7 === 3 && outside > 0 ? source - 1 + outside : make.random.integer(source),
  );
  const values = toF32(x);
  const wanted = new Uint32Array(rows * width);
  index.forEach((from, r) => {
    const row = from < source ? values.slice(from * width, (from + 1) * width) : undefined;
    wanted.set(row ? new Uint32Array(row.buffer) : new Uint32Array(width).fill(NAN_BITS), r * width);
  });
  return {
    expected: { y: { values: wanted, shape: [rows, width] } },
    bytes: 8 * rows * width + 4 * rows,
    prepare: async (space) => {
      const first = await prepareGatherRows(space.gpu, { width, dtype });
      const later = parts === 1 ? first : await prepareGatherRows(space.gpu, { width, dtype, part: true });
      const pieces = range(parts).map((i) => {
        const [firstRow, numSource] = balancedRun(source, parts, i);
        const [from, to] = [firstRow * width, (firstRow + numSource) * width];
        const own = tensor(x.dtype, [numSource, width], x.data.slice(from, to));
        return { firstRow, numSource, x: space.weight(parts === 1 ? 'x' : `x${i}`, own, dtype) };
      });
      const t = { index: space.integers('index', index), y: space.output('y', [rows, width], 'u32') };
      return (commands) =>
        pieces.forEach(({ x: own, ...of }, i) =>
          (i === 0 ? first : later).record(commands, { numRows: rows, ...of }, { ...t, x: own }),
        );
    },
  };
}

/** Scores are powers of two and rows whole numbers: every order of summation gives the same sum. */
function combine(make: Maker, tokens: number, topK: number, width: number, withResidual: boolean): Internal {
  const numRows = tokens * topK;
  const expertOut = make.whole([numRows, width], 500);
  const residual = make.whole([tokens, width], 500);
  const scores = make.filled([tokens, topK], () => 2 ** -make.random.integer(4));
  const order = range(numRows).sort((a, b) => ((a * 7) % numRows) - ((b * 7) % numRows));
  const slot = Uint32Array.from(order, (row) => (make.random.integer(5) === 0 ? NO_SLOT : row));
  const wanted = new Float64Array(tokens * width);
  for (let i = 0; i < wanted.length; i++) {
    const [t, d] = [Math.floor(i / width), i % width];
    let total = withResidual ? at(residual.data, i) : 0;
    for (let c = t * topK; c < (t + 1) * topK; c++) {
      if (at(slot, c) !== NO_SLOT) total += at(scores.data, c) * at(expertOut.data, at(slot, c) * width + d);
    }
    wanted[i] = total;
  }
  return {
    expected: { y: { values: wanted, shape: [tokens, width] } },
    bytes: 4 * width * (numRows + tokens),
    prepare: async (space) => {
      const kernel = await prepareCombine(space.gpu, { width, topK, residual: withResidual });
      const t = {
        expertOut: space.activation('expert out', expertOut),
        slot: space.integers('slot', slot),
        scores: space.activation('scores', scores),
        ...(withResidual && { residual: space.activation('residual', residual) }),
        y: space.output('y', [tokens, width], 'f32'),
      };
      return (commands) => kernel.record(commands, tokens, t);
    },
  };
}

function add(make: Maker, count: number): Internal {
  const [a, b] = [make.normal([count]), make.normal([count])];
  const wanted = toF32(a).map((value, i) => value + at(b.data, i));
  return {
    expected: { y: { values: wanted, shape: [count] } },
    bytes: 12 * count,
    prepare: async (space) => {
      const kernel = await prepareAdd(space.gpu);
      const t = {
        a: space.activation('a', a),
        b: space.activation('b', b),
        y: space.output('y', [count], 'f32'),
      };
      return (commands) => kernel.record(commands, count, t);
    },
  };
}

/** Two halves a word. */
function halvesIn(values: Float64Array): Uint32Array {
  const { data } = castFloat(f32Tensor([values.length], Float32Array.from(values)), 'f16');
  return new Uint32Array(data.buffer, data.byteOffset, values.length / 2);
}

/** Quarter turns of whole numbers are exact. The rows of the cache are taken in another order than the tokens. */
function append(
  make: Maker,
  rows: number,
  heads: number,
  kvHeads: number,
  dim: number,
  kvDtype: 'f32' | 'f16' = 'f32',
): Internal {
  const half = dim / 2;
  const all = heads + 2 * kvHeads;
  const qkv = make.whole([rows, all, dim], 1000);
  const quarters = range(rows * half).map(() => make.random.integer(4));
  const table = make.filled([rows, half, 2], (i) =>
    at(i % 2 === 0 ? [1, 0, -1, 0] : [0, 1, 0, -1], at(quarters, i >> 1)),
  );
  const place = Uint32Array.from({ length: 2 * rows }, (_, i) =>
    i % 2 === 0 ? (5 * (i >> 1) + 1) % rows : rows - 1 - (i >> 1),
  );
  const wanted = {
    q: new Float64Array(rows * heads * dim),
    k: new Float64Array(rows * kvHeads * dim),
    v: new Float64Array(rows * kvHeads * dim),
  };
  for (let i = 0; i < qkv.data.length; i++) {
    const [t, h, d] = [Math.floor(i / (all * dim)), Math.floor(i / dim) % all, i % dim];
    const turn = (at(place, 2 * t) * half + (d % half)) * 2;
    const sign = d < half ? -1 : 1;
    const turned =
      at(qkv.data, i) * at(table.data, turn) +
      sign * at(qkv.data, i - sign * half) * at(table.data, turn + 1);
    const row = at(place, 2 * t + 1);
    if (h < heads) wanted.q[(t * heads + h) * dim + d] = turned;
    else if (h < heads + kvHeads) wanted.k[(row * kvHeads + h - heads) * dim + d] = turned;
    else wanted.v[(row * kvHeads + h - heads - kvHeads) * dim + d] = at(qkv.data, i);
  }
  const cached = (values: Float64Array): InternalExpected =>
    kvDtype === 'f32'
      ? { values, shape: [rows, kvHeads, dim] }
      : { values: halvesIn(values), shape: [rows, kvHeads, dim / 2] };
  return {
    expected: {
      q: { values: wanted.q, shape: [rows, heads, dim] },
      k: cached(wanted.k),
      v: cached(wanted.v),
    },
    bytes: 8 * qkv.data.length,
    prepare: async (space) => {
      const kernel = await prepareRopeAppend(space.gpu, {
        numHeads: heads,
        numKvHeads: kvHeads,
        headDim: dim,
        kvDtype,
      });
      const cache = (name: string): GpuBuffer =>
        kvDtype === 'f32'
          ? space.output(name, [rows, kvHeads, dim], 'f32')
          : space.output(name, [rows, kvHeads, dim / 2], 'u32');
      const t = {
        qkv: space.activation('qkv', qkv),
        table: space.activation('table', table),
        place: space.integers('place', place),
        q: space.output('q', [rows, heads, dim], 'f32'),
        kCache: cache('k'),
        vCache: cache('v'),
      };
      return (commands) => kernel.record(commands, rows, t);
    },
  };
}

/** Logits of whole numbers are exact, so the choice is too; their scores have the budget of `gate-topk`. */
function router(
  make: Maker,
  tokens: number,
  dim: number,
  experts: number,
  topK: number,
  { half = false, grouped = false } = {},
): Internal {
  // With a bias scores are compared: few small logits keep theirs apart.
  const x = make.whole([tokens, dim], grouped ? 1 : 2);
  const whole = make.filled([experts, dim], (i) =>
    grouped ? (i % dim === 1 ? Math.floor(i / dim) % 3 : 0) : make.random.integer(5) - 2,
  );
  const gate = half ? make.half(whole) : whole;
  const bias = make.filled([experts], () => make.random.integer(3) / 8);
  const shape = {
    ...{ numExperts: experts, topK, renormalize: true, scale: 2 },
    ...(grouped
      ? ({ score: 'sigmoid', biased: true, groups: { count: 4, kept: 2, score: 'max' } } as const)
      : ({ score: 'softmax' } as const)),
  };
  const logits_TE = matmul(toF64(x), toF64(gate), { m: tokens, n: experts, k: dim });
  const { ids_TK, scores_TK } = gateTopK({ ...shape, logits_TE, ...(grouped && { bias_E: toF64(bias) }) });
  const roundings = scoreRoundings({ ...shape, logits_TE, ids_TK });
  return {
    expected: {
      ids: { values: ids_TK, shape: [tokens, topK] },
      scores: {
        values: scores_TK,
        shape: [tokens, topK],
        budget: budgetOf(scores_TK, (i) => at(roundings, i)),
      },
    },
    bytes: 4 * (x.data.length + tokens * topK * 2) + gate.data.byteLength,
    prepare: async (space) => {
      const weightDtype = half ? 'f16' : 'f32';
      const kernel = await prepareRouter(space.gpu, {
        ...shape,
        numTokens: tokens,
        modelDim: dim,
        weightDtype,
      });
      const t = {
        x: space.activation('x', x),
        gate: space.weight('gate', gate),
        logits: space.scratch('logits', tokens * experts),
        ...(grouped && { bias: space.activation('bias', bias) }),
        ids: space.output('ids', [tokens, topK], 'u32'),
        scores: space.output('scores', [tokens, topK], 'f32'),
      };
      return (commands) => kernel.record(commands, tokens, t);
    },
  };
}

export const rowCases: Readonly<Record<string, InternalCase>> = {
  'gather rows': (make) => gather(make, 50, 33, 20, 0),
  'gather rows, indices outside': (make) => gather(make, 30, 5, 9, 1),
  'gather rows, f16 of odd width': (make) => gather(make, 31, 13, 11, 0, 'f16'),
  'gather rows, bf16 of odd width': (make) => gather(make, 31, 13, 11, 0, 'bf16'),
  'gather rows from three parts, indices outside': (make) => gather(make, 40, 6, 11, 1, 'f16', 3),
  'gather rows from two parts, in fours': (make) => gather(make, 40, 8, 11, 1, 'f16', 2),
  'gather rows in fours, indices outside': (make) => gather(make, 30, 300, 9, 1),
  'gather rows in fours, f16': (make) => gather(make, 31, 20, 11, 0, 'f16'),
  'gather rows, more than one grid dimension': (make) => gather(make, 66000, 1, 300, 0),
  'combine, dropped choices': (make) => combine(make, 23, 3, 70, false),
  'combine with residual': (make) => combine(make, 23, 2, 70, true),
  'combine in fours, dropped choices': (make) => combine(make, 23, 3, 300, false),
  'combine in fours with residual': (make) => combine(make, 23, 2, 20, true),
  add: (make) => add(make, 1001),
  'append to the cache': (make) => append(make, 11, 4, 4, 8),
  'append to the cache, grouped queries': (make) => append(make, 7, 6, 2, 10),
  'append to the cache in fours': (make) => append(make, 5, 3, 1, 24),
  'append to the cache, halves': (make) => append(make, 5, 3, 1, 24, 'f16'),
  'router with its top-k': (make) => router(make, 13, 40, 6, 2),
  'router in two steps': (make) => router(make, 40, 44, 6, 2),
  'router with its top-k, f16 and wide rows': (make) => router(make, 2, 300, 70, 4, { half: true }),
  'router with rows that are no fours': (make) => router(make, 9, 301, 70, 4, { half: true }),
  'router with a bias and groups': (make) => router(make, 9, 24, 16, 3, { grouped: true }),
  'router in two steps, with a bias and groups': (make) => router(make, 300, 24, 16, 3, { grouped: true }),
};

/** Causal attention, B sequences, H heads of 64: all of a prompt, and one new token after 2,047. */
import { range } from '../../../src/core/math.ts';
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import { castFloat, f32Tensor, type Tensor } from '../../../src/tensor/tensor.ts';
import { evenTensor, once } from '../inputs.ts';
import type { OrtInput, OrtJob } from '../contestants/ort.ts';
import { moebius, ort, type PeerRow, type Setup } from '../row.ts';
import { wholeTruth, type Truth } from '../truth.ts';

const HEAD = 64;

interface Shape {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
}

const prefill = (heads: number, length: number): PeerRow => ({
  group: 'attention',
  name: `prefill S=${length} H=${heads}`,
  flops: 2 * heads * HEAD * length * (length + 1),
  goals: goals(1.5),
  setup: () => setup({ batch: 1, queries: length, keys: length, heads }),
});

const decode = (heads: number, batch: number): PeerRow => ({
  group: 'attention',
  name: `decode S=${KEYS} B=${batch} H=${heads}`,
  flops: 4 * heads * HEAD * KEYS * batch,
  goals: goals(4),
  setup: () => setup({ batch, queries: 1, keys: KEYS, heads }),
});

const KEYS = 2048;
const goals = (atLeast: number) => [
  { fast: 'moebius f32', slow: 'ort GroupQueryAttention', atLeast },
  { fast: 'moebius f16 KV', slow: 'moebius f32', atLeast: 1 },
];

export const attentionRows: readonly PeerRow[] = [16, 8].flatMap((heads) => [
  ...[512, 2048].map((length) => prefill(heads, length)),
  ...[1, 16].map((batch) => decode(heads, batch)),
]);

function setup(shape: Shape): Setup {
  const { batch, queries, keys, heads } = shape;
  const q = once(() => evenTensor(`attention/q ${queries}`, [batch, queries, heads, HEAD]));
  const k = once(() => evenTensor(`attention/k ${keys}`, [batch, keys, heads, HEAD]));
  const v = once(() => evenTensor(`attention/v ${keys}`, [batch, keys, heads, HEAD]));
  const groupQuery = queries < keys ? groupQueryDecode : groupQueryPrefill;
  const gqa = (): OrtJob => groupQuery(shape, q(), k(), v());
  const half = (t: Tensor): Tensor => castFloat(t, 'f16');
  return {
    entrants: [
      moebius('moebius f32', () => ({ op: 'attention', tensors: { q: q(), k: k(), v: v() } })),
      moebius('moebius f16 KV', () => ({ op: 'attention', tensors: { q: q(), k: half(k()), v: half(v()) } })),
      ort('ort GroupQueryAttention', 'webgpu', gqa),
      ort('ort MultiHeadAttention', 'webgpu', () => multiHead(shape, q(), k(), v())),
      ort('cpu GroupQueryAttention', 'cpu', gqa),
    ],
    truths: () => truths(shape, q(), k(), v()),
  };
}

const floats = (name: string, shape: readonly number[], data: Tensor['data']): OrtInput => ({
  ...{ name, type: 'float32', shape, data: data as Float32Array },
});

/** Lengths as GroupQueryAttention wants them: of the past with the new token, less 1, and the longest in all. */
const lengths = ({ batch, keys }: Shape): OrtInput[] => [
  { name: 'seqlens', type: 'int32', shape: [batch], data: new Int32Array(batch).fill(keys - 1) },
  { name: 'total', type: 'int32', shape: [1], data: Int32Array.of(keys), onHost: true },
];

function groupQueryPrefill(shape: Shape, q: Tensor, k: Tensor, v: Tensor): OrtJob {
  const { batch, queries, heads } = shape;
  const rows = [batch, queries, heads * HEAD];
  const cache = [batch, heads, queries, HEAD];
  return {
    nodes: [
      {
        ...{ op: 'GroupQueryAttention', microsoft: true },
        inputs: ['q', 'k', 'v', '', '', 'seqlens', 'total'],
        outputs: ['o', 'present_k', 'present_v'],
        attributes: { num_heads: heads, kv_num_heads: heads },
      },
    ],
    inputs: [
      ...[floats('q', rows, q.data), floats('k', rows, k.data), floats('v', rows, v.data)],
      ...lengths(shape),
    ],
    outputs: [
      { name: 'o', type: 'float32', shape: rows },
      { name: 'present_k', type: 'float32', shape: cache },
      { name: 'present_v', type: 'float32', shape: cache },
    ],
    compared: { o: 'o' },
  };
}

/** The cache is one buffer that holds the past and takes the new key in place, as decoders use it. */
function groupQueryDecode(shape: Shape, q: Tensor, k: Tensor, v: Tensor): OrtJob {
  const { batch, keys, heads } = shape;
  const rows = [batch, 1, heads * HEAD];
  const cache = [batch, heads, keys, HEAD];
  return {
    nodes: [
      {
        ...{ op: 'GroupQueryAttention', microsoft: true },
        inputs: ['q', 'k', 'v', 'past_k', 'past_v', 'seqlens', 'total'],
        outputs: ['o', 'present_k', 'present_v'],
        attributes: { num_heads: heads, kv_num_heads: heads },
      },
    ],
    inputs: [
      ...[
        floats('q', rows, q.data),
        floats('k', rows, lastOf(shape, k)),
        floats('v', rows, lastOf(shape, v)),
      ],
      ...[floats('past_k', cache, byHead(shape, k)), floats('past_v', cache, byHead(shape, v))],
      ...lengths(shape),
    ],
    outputs: [
      { name: 'o', type: 'float32', shape: rows },
      { name: 'present_k', type: 'float32', shape: cache },
      { name: 'present_v', type: 'float32', shape: cache },
    ],
    inPlace: { present_k: 'past_k', present_v: 'past_v' },
    compared: { o: 'o' },
  };
}

function multiHead({ batch, queries, keys, heads }: Shape, q: Tensor, k: Tensor, v: Tensor): OrtJob {
  const rows = [batch, queries, heads * HEAD];
  const all = [batch, keys, heads * HEAD];
  return {
    nodes: [
      {
        ...{ op: 'MultiHeadAttention', microsoft: true, inputs: ['q', 'k', 'v'], outputs: ['o'] },
        // A single query sees every key: there is nothing to mask.
        attributes: { num_heads: heads, unidirectional: queries === 1 ? 0 : 1 },
      },
    ],
    inputs: [floats('q', rows, q.data), floats('k', all, k.data), floats('v', all, v.data)],
    outputs: [{ name: 'o', type: 'float32', shape: rows }],
  };
}

/** The last position of each sequence, [B, 1, H, Dh]. */
function lastOf({ batch, keys, heads }: Shape, t: Tensor): Float32Array {
  const width = heads * HEAD;
  const last = new Float32Array(batch * width);
  for (const b of range(batch)) {
    const start = (b * keys + keys - 1) * width;
    last.set((t.data as Float32Array).subarray(start, start + width), b * width);
  }
  return last;
}

/** [B, S, H, Dh] -> [B, H, S, Dh] */
function byHead({ batch, keys, heads }: Shape, t: Tensor): Float32Array {
  const data = t.data as Float32Array;
  const result = new Float32Array(data.length);
  for (const b of range(batch)) {
    for (const s of range(keys)) {
      for (const h of range(heads)) {
        const from = ((b * keys + s) * heads + h) * HEAD;
        result.set(data.subarray(from, from + HEAD), ((b * heads + h) * keys + s) * HEAD);
      }
    }
  }
  return result;
}

/** Runs of queries at the beginning, in the middle and at the end of a prompt; all of a decode. */
const RUN = 8;

function truths({ batch, queries, keys, heads }: Shape, q: Tensor, k: Tensor, v: Tensor): Truth[] {
  const op = opByName('attention');
  if (queries < keys) return wholeTruth(op.reference(inputsOf(op, { q, k, v })));
  const width = heads * HEAD;
  const rowsOf = (t: Tensor, first: number, count: number): Tensor =>
    f32Tensor(
      [1, count, heads, HEAD],
      (t.data as Float32Array).slice(first * width, (first + count) * width),
    );
  return [0, RUN, queries / 2, queries - RUN].flatMap((first) => {
    const seen = first + RUN;
    const inputs = { q: rowsOf(q, first, RUN), k: rowsOf(k, 0, seen), v: rowsOf(v, 0, seen) };
    return [...op.reference(inputsOf(op, inputs))].map(([output, { values, budget }]) => ({
      ...{ output, length: batch * queries * width, width, values, budget },
      rows: range(RUN).map((i) => first + i),
    }));
  });
}

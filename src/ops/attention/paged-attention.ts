/**
 * Attention of new queries against keys in pages. B sequences, Sq queries, Hq and Hkv heads of Dh; N pages of R keys,
 * of which a table names up to P for each sequence, in the order of its keys.
 */
import { at } from '../../core/math.ts';
import { attentionVariants } from '../../kernels/attention/variants.ts';
import { ableVariants } from '../../kernels/variants.ts';
import { attention as referenceAttention, type AttentionInput } from '../../reference/attention.ts';
import { BYTES_OF, toF64 } from '../../tensor/tensor.ts';
import { attention, cacheDtype, kernelShape, pairs, prepareQueries } from './attention.ts';
import { numberAttr } from '../attrs.ts';
import type { AttentionSize } from './size.ts';
import { attentionError } from './error.ts';
import { checkGroups, scaleOf, SINKS_RULE } from './rules.ts';
import { roundedTo } from '../budgets.ts';
import { defineOp } from '../define.ts';
import type { OpInputs } from '../op.ts';
import { type Pages, pagesOf } from './pages.ts';
import { requirePositive, sizeOf } from '../shapes.ts';
import { outputDtype, tensorOf } from '../op-buffers.ts';

const OP = 'paged-attention';
const FLOATS = ['f32', 'f16'] as const;
const INTEGERS = ['i32', 'u32'] as const;

interface PagedSize extends AttentionSize {
  readonly pages: Pages;
}

export const pagedAttention = defineOp({
  name: OP,
  about: 'causal attention whose keys and values lie in pages that a table names for each sequence',
  inputs: [
    { name: 'q', dims: '[B, Sq, Hq, Dh]', dtypes: FLOATS, about: 'queries: the last Sq of each sequence' },
    { name: 'k_pages', dims: '[N, R, Hkv, Dh]', dtypes: FLOATS, about: 'keys, R to a page' },
    { name: 'v_pages', dims: '[N, R, Hkv, Dh]', dtypes: FLOATS, about: 'values, R to a page' },
    { name: 'block_table', dims: '[B, P]', dtypes: INTEGERS, about: 'pages of each sequence in order' },
    { name: 'kv_lengths', dims: '[B]', dtypes: INTEGERS, about: 'keys of each sequence' },
    SINKS_RULE,
  ],
  outputs: [{ name: 'o', dims: '[B, Sq, Hq, Dh]', dtypes: FLOATS, about: 'weighted values' }],
  attrs: attention.attrs.filter(({ name }) => name !== 'causal'),
  registry: 'attention',
  variants: attentionVariants,
  size: (inputs, dims): PagedSize => {
    requirePositive(OP, dims, ['Hq', 'Hkv', 'Dh', 'R']);
    const headDim = sizeOf(dims, 'Dh');
    const counts = {
      numPages: sizeOf(dims, 'N'),
      pageSize: sizeOf(dims, 'R'),
      perSequence: sizeOf(dims, 'P'),
    };
    const numQueries = sizeOf(dims, 'Sq');
    const size = {
      batch: sizeOf(dims, 'B'),
      numQueries,
      numKeys: counts.perSequence * counts.pageSize,
      numHeads: sizeOf(dims, 'Hq'),
      numKvHeads: sizeOf(dims, 'Hkv'),
      headDim,
      causal: true,
      scale: scaleOf(inputs, headDim),
      window: numberAttr(inputs, 'window'),
      softcap: numberAttr(inputs, 'softcap'),
      hasSinks: inputs.tensors.has('sinks'),
      kvDtype: cacheDtype(tensorOf(inputs, 'k_pages'), tensorOf(inputs, 'v_pages')),
      pages: pagesOf(OP, tensorOf(inputs, 'block_table'), tensorOf(inputs, 'kv_lengths'), {
        ...counts,
        numQueries,
      }),
    };
    checkGroups(OP, size);
    return size;
  },
  able: (gpu, size) => ableVariants('attention', attentionVariants, kernelShape(size), gpu),
  prepare: (gpu, inputs, size, variant) =>
    prepareQueries(gpu, inputs, size, { k: 'k_pages', v: 'v_pages' }, variant),
  *reference(inputs, size) {
    const shape = tensorOf(inputs, 'q').shape;
    const [values, error] = [new Float64Array(count(shape)), new Float64Array(count(shape))];
    for (const { input, first } of sequences(inputs, size)) {
      values.set(yield* referenceAttention.pieces(input), first);
      error.set(yield* attentionError.pieces(input), first);
    }
    const budget = roundedTo(outputDtype(inputs), error, values);
    return new Map([['o', { values, shape, budget }]]);
  },
  cost: (inputs, size) => {
    const { lengths } = size.pages;
    const pairsOf = (numKeys: number): number => pairs({ ...size, numKeys });
    const seen = lengths.map((length) => (size.window ? Math.min(length, size.window) : length));
    const keys = seen.reduce((a, b) => a + b, 0);
    return {
      flops: 4 * size.numHeads * size.headDim * lengths.map(pairsOf).reduce((a, b) => a + b, 0),
      bytes:
        tensorOf(inputs, 'q').data.byteLength +
        2 * keys * size.numKvHeads * size.headDim * BYTES_OF[size.kvDtype ?? 'f32'] +
        tensorOf(inputs, 'q').data.length * BYTES_OF[outputDtype(inputs)],
    };
  },
});

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Each sequence by itself with its keys in a row, and where its part of q and o begins. */
function* sequences(
  inputs: OpInputs,
  size: PagedSize,
): Generator<{ readonly input: AttentionInput; readonly first: number }, void, undefined> {
  const { numQueries, numHeads, numKvHeads, headDim, batch, pages } = size;
  const [q, k, v] = ['q', 'k_pages', 'v_pages'].map((name) => toF64(tensorOf(inputs, name))) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const given = inputs.tensors.get('sinks');
  const perSequence = batch === 0 ? 0 : pages.table.length / batch;
  const width = numKvHeads * headDim;
  const length = numQueries * numHeads * headDim;
  if (length === 0) return;
  for (const [b, numKeys] of pages.lengths.entries()) {
    const gathered = (from: Float64Array): Float64Array => {
      const rows = new Float64Array(numKeys * width);
      for (let key = 0; key < numKeys; key++) {
        const page = at(pages.table, b * perSequence + Math.floor(key / pages.pageSize));
        const row = page * pages.pageSize + (key % pages.pageSize);
        rows.set(from.subarray(row * width, (row + 1) * width), key * width);
      }
      return rows;
    };
    const own = { ...size, batch: 1, numKeys, ...(given && { sinks: toF64(given) }) };
    const input = { ...own, q: q.slice(b * length, (b + 1) * length), k: gathered(k), v: gathered(v) };
    yield { input, first: b * length };
  }
}

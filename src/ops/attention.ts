/** Attention of new queries against all keys. B sequences, Sq queries and Skv keys, Hq and Hkv heads of Dh. */
import { ConfigError } from '../core/errors.ts';
import { ceilDiv, nearestDivisor, range } from '../core/math.ts';
import type { BufferView, GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Attention, prepareAttention } from '../kernels/attention.ts';
import { attentionVariants, type AttentionShape } from '../kernels/attention-variants.ts';
import { attention as referenceAttention, attentionMagnitude } from '../reference/attention.ts';
import { BYTES_OF, type Tensor, toF64 } from '../tensor/tensor.ts';
import { flagAttr, numberAttr } from './attrs.ts';
import { budgetOf, DIVISION } from './budgets.ts';
import { defineOp } from './define.ts';
import type { OpInputs, PreparedOp } from './op.ts';
import type { Pages } from './pages.ts';
import { requirePositive, sizeOf } from './shapes.ts';
import { bytesOfInputs, outputDtype, rowRuns, tensorOf, type Workspace, withWorkspace } from './workspace.ts';

const FLOATS = ['f32', 'f16'] as const;

export interface AttentionSize {
  readonly batch: number;
  readonly numQueries: number;
  readonly numKeys: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly causal: boolean;
  readonly scale: number;
  readonly window?: number;
  readonly softcap?: number;
  readonly hasSinks?: boolean;
  /** f16 when both k and v are: they are read as they are given. */
  readonly kvDtype?: 'f32' | 'f16';
  /** Where keys lie in pages; numKeys is then what a table has room for. */
  readonly pages?: Pages;
}

export const attention = defineOp({
  name: 'attention',
  about: 'o = softmax(scale q k^T) v; queries are the last Sq positions, grouped when Hkv < Hq',
  inputs: [
    { name: 'q', dims: '[B, Sq, Hq, Dh]', dtypes: FLOATS, about: 'queries' },
    { name: 'k', dims: '[B, Skv, Hkv, Dh]', dtypes: FLOATS, about: 'keys' },
    { name: 'v', dims: '[B, Skv, Hkv, Dh]', dtypes: FLOATS, about: 'values' },
    {
      name: 'sinks',
      dims: '[Hq]',
      dtypes: FLOATS,
      optional: true,
      about: 'logits that join the denominator of their head and weigh no value',
    },
  ],
  outputs: [{ name: 'o', dims: '[B, Sq, Hq, Dh]', dtypes: FLOATS, about: 'weighted values' }],
  attrs: [
    {
      name: 'causal',
      kind: 'flag',
      default: true,
      about: 'a query sees its own position and those before it',
    },
    { name: 'scale', kind: 'number', derived: '1 / sqrt(Dh)', about: 'factor of the scores' },
    {
      name: 'window',
      kind: 'integer',
      default: 0,
      min: 0,
      max: 2 ** 31,
      about: 'keys that a query sees at most, its own position the last of them; 0: all',
    },
    {
      name: 'softcap',
      kind: 'number',
      default: 0,
      min: 0,
      max: 1e6,
      about: 'scores become softcap tanh(score / softcap); 0: they stay',
    },
  ],
  variants: attentionVariants,
  size: (inputs, dims): AttentionSize => {
    requirePositive('attention', dims, ['Hq', 'Hkv', 'Dh']);
    const headDim = sizeOf(dims, 'Dh');
    const scale = inputs.attrs.get('scale');
    const size = {
      batch: sizeOf(dims, 'B'),
      numQueries: sizeOf(dims, 'Sq'),
      numKeys: sizeOf(dims, 'Skv'),
      numHeads: sizeOf(dims, 'Hq'),
      numKvHeads: sizeOf(dims, 'Hkv'),
      headDim,
      causal: flagAttr(inputs, 'causal'),
      scale: typeof scale === 'number' ? scale : 1 / Math.sqrt(headDim),
      window: numberAttr(inputs, 'window'),
      softcap: numberAttr(inputs, 'softcap'),
      hasSinks: inputs.tensors.has('sinks'),
      kvDtype: cacheDtype(tensorOf(inputs, 'k'), tensorOf(inputs, 'v')),
    };
    checkGroups('attention', size);
    checkPositions(size);
    return size;
  },
  able: (gpu, size) =>
    attentionVariants.filter((v) => v.refusal(kernelShape(size), gpu) === undefined).map((v) => v.name),
  prepare: (gpu, inputs, size, variant) => prepareQueries(gpu, inputs, size, { k: 'k', v: 'v' }, variant),
  reference: (inputs, size) => {
    const given = inputs.tensors.get('sinks');
    const input = { ...size, ...floats(inputs), ...(given && { sinks: toF64(given) }) };
    if (size.batch * size.numQueries === 0) return new Map([['o', empty(inputs)]]);
    const values = referenceAttention(input);
    const magnitude = attentionMagnitude(input);
    const budget = budgetOf(magnitude, attentionRoundings(size), outputDtype(inputs), values);
    return new Map([['o', { values, shape: tensorOf(inputs, 'q').shape, budget }]]);
  },
  cost: (inputs, size) => ({
    flops: 4 * size.batch * size.numHeads * size.headDim * pairs(size),
    bytes: bytesOfInputs(inputs) + tensorOf(inputs, 'q').data.length * BYTES_OF[outputDtype(inputs)],
  }),
});

/** Uploads q, the named keys and values, and sinks if there are any, and records all queries. */
export function prepareQueries(
  gpu: Gpu,
  inputs: OpInputs,
  size: AttentionSize,
  names: { readonly k: string; readonly v: string },
  variant: string | undefined,
): Promise<PreparedOp> {
  return withWorkspace(gpu, async (space) => {
    const kernel = await prepareAttention(gpu, kernelShape(size), variant);
    const q = space.activation('q', tensorOf(inputs, 'q'));
    const k = space.weight('k', tensorOf(inputs, names.k), size.kvDtype);
    const v = space.weight('v', tensorOf(inputs, names.v), size.kvDtype);
    const given = inputs.tensors.get('sinks');
    const sinks = given && { sinks: space.activation('sinks', given) };
    const o = space.output('o', tensorOf(inputs, 'q').shape, outputDtype(inputs));
    const batches = queryBatches(space, size);
    const scratch = scratchOf(space, kernel, size.batch * size.numQueries);
    return space.prepared(kernel.variant, (commands) => {
      for (const { sequences, numSequences, maxQueries } of batches) {
        kernel.record(commands, { numSequences, maxQueries }, { q, k, v, sequences, o, scratch, ...sinks });
      }
    });
  });
}

const floats = (inputs: OpInputs): { q: Float64Array; k: Float64Array; v: Float64Array } => ({
  q: toF64(tensorOf(inputs, 'q')),
  k: toF64(tensorOf(inputs, 'k')),
  v: toF64(tensorOf(inputs, 'v')),
});

/** How a kernel reads keys and values: halves stay halves when both are. */
export function cacheDtype(k: Tensor, v: Tensor): 'f32' | 'f16' {
  return k.dtype === 'f16' && v.dtype === 'f16' ? 'f16' : 'f32';
}

const empty = (inputs: OpInputs) => ({
  values: new Float64Array(0),
  shape: tensorOf(inputs, 'q').shape,
  budget: { atol: 0, rtol: 0 },
});

/**
 * A key costs at most a product and a sum, and with tiles of 4 keys two roundings of the running rescale and its
 * share of an exponential; a score has Dh terms and the scale. A sink counts as a key. A soft cap by exp is off by at
 * most 16 roundings of its size.
 */
export function attentionRoundings({ headDim, numKeys }: AttentionSize): number {
  return headDim + 4 * (numKeys + 1) + 2 + 12 + DIVISION;
}

/** (query, key) pairs of one head of one sequence. */
export function pairs({ numQueries: n, numKeys, causal, window = 0 }: AttentionSize): number {
  if (!causal) return n * numKeys;
  const all = n * (numKeys - n) + (n * (n + 1)) / 2;
  if (window === 0 || window >= numKeys) return all;
  // The last `beyond` queries have more than `window` keys before them: 1, 2, ... up to numKeys - window too many.
  const beyond = Math.min(n, numKeys - window);
  return all - beyond * (numKeys - window) + (beyond * (beyond - 1)) / 2;
}

export function kernelShape(size: AttentionSize): AttentionShape {
  const {
    numHeads,
    numKvHeads,
    headDim,
    causal,
    scale,
    window = 0,
    softcap = 0,
    hasSinks = false,
    kvDtype = 'f32',
    pages,
  } = size;
  return {
    window,
    softcap,
    sinks: hasSinks,
    kvDtype,
    ...(pages && { pageSize: pages.pageSize }),
    numHeads,
    numKvHeads,
    headDim,
    causal,
    scale,
    cacheLength: size.numKeys,
    queries: size.numQueries,
    numSequences: size.batch,
  };
}

/** What the chosen variant keeps between its dispatches, if anything. */
export function scratchOf(space: Workspace, kernel: Attention, numRows: number): GpuBuffer | undefined {
  const words = kernel.scratchWords(numRows);
  return words === 0 ? undefined : space.scratch('attention parts', words);
}

interface QueryBatch {
  readonly sequences: GpuBuffer | BufferView;
  readonly numSequences: number;
  readonly maxQueries: number;
}

/**
 * The queries of all sequences in dispatches that end soon and fit the grid. A run of queries of one sequence is a
 * sequence to the kernel, which under a causal mask ends with its last query.
 */
export function queryBatches(space: Workspace, size: AttentionSize): QueryBatch[] {
  const { batch, numQueries, numKeys, numHeads, headDim, causal, pages } = size;
  const most = space.gpu.limits.maxComputeWorkgroupsPerDimension;
  const flopsPerQuery = 4 * numHeads * headDim * numKeys;
  const runs = rowRuns(space.gpu, numQueries, flopsPerQuery, most);
  const perDispatch = Math.min(most, rowRuns(space.gpu, batch, flopsPerQuery * numQueries)[0]?.count ?? 1);
  const batches: QueryBatch[] = [];
  for (const { first, count } of runs) {
    for (let b = 0; b < batch; b += perDispatch) {
      const numSequences = Math.min(perDispatch, batch - b);
      const rows = range(numSequences).flatMap((i) => {
        const keys = pages?.lengths[b + i] ?? numKeys;
        const seen = causal ? keys - numQueries + first + count : keys;
        return [(b + i) * numQueries + first, count, seen, b + i];
      });
      const table = Uint32Array.from([...rows, ...(pages?.table ?? [])]);
      const sequences = space.integers(`sequences ${ceilDiv(b, perDispatch)}`, table);
      batches.push({ sequences, numSequences, maxQueries: count });
    }
  }
  return batches;
}

/** @throws ConfigError when query heads do not share key/value heads equally. */
export function checkGroups(op: string, size: { numHeads: number; numKvHeads: number }): void {
  const { numHeads, numKvHeads } = size;
  if (numHeads % numKvHeads !== 0) {
    throw new ConfigError(
      `${op}: ${numHeads} query heads are not a multiple of ${numKvHeads} key/value heads; groups must be equal. ` +
        `Try ${nearestDivisor(numHeads, numKvHeads)} key/value heads.`,
    );
  }
}

function checkPositions({ batch, numQueries, numKeys, causal, window = 0 }: AttentionSize): void {
  if (window > 0 && !causal) {
    throw new ConfigError(
      `attention: window=${window} with causal=0; a window ends at a query's own position, so it needs causal=1. ` +
        `Give causal=1, or window=0.`,
    );
  }
  if (batch * numQueries === 0) return;
  if (numKeys === 0)
    throw new ConfigError('attention: there are no keys (Skv = 0); a softmax needs at least one.');
  if (causal && numQueries > numKeys) {
    throw new ConfigError(
      `attention: ${numQueries} queries (Sq) are more than ${numKeys} keys (Skv); with causal=1 queries are the last ` +
        `positions, so Sq is at most Skv. Give all keys, or causal=0.`,
    );
  }
}

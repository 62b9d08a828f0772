/** Attention of new queries against all keys. B sequences, Sq queries and Skv keys, Hq and Hkv heads of Dh. */
import type { GpuBuffer } from '../../gpu/buffer.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { type Attention, prepareAttention } from '../../kernels/attention/attention.ts';
import { attentionVariants, type AttentionShape } from '../../kernels/attention/variants.ts';
import { ableVariants } from '../../kernels/variants.ts';
import { attention as referenceAttention } from '../../reference/attention.ts';
import { BYTES_OF, type Tensor, toF64 } from '../../tensor/tensor.ts';
import type { AttentionSize } from './size.ts';
import { boundPart, queryBatches, sequencesPerBinding, sequenceWords } from './batches.ts';
import { checkGroups, checkPositions, scaleOf, SINKS_RULE, SOFTCAP_RULE } from './rules.ts';
import { flagAttr, numberAttr } from '../attrs.ts';
import { attentionError } from './error.ts';
import { roundedTo } from '../budgets.ts';
import { defineOp } from '../define.ts';
import type { OpInputs, PreparedOp } from '../op.ts';
import { requirePositive, sizeOf } from '../shapes.ts';
import { bytesOfInputs, outputDtype, tensorOf, type OpBuffers, withBuffers } from '../op-buffers.ts';
import { liftOf, timesPowerOfTwo } from './wide-values.ts';

const FLOATS = ['f32', 'f16'] as const;

export const attention = defineOp({
  name: 'attention',
  about: 'o = softmax(scale q k^T) v; queries are the last Sq positions, grouped when Hkv < Hq',
  inputs: [
    { name: 'q', dims: '[B, Sq, Hq, Dh]', dtypes: FLOATS, about: 'queries' },
    { name: 'k', dims: '[B, Skv, Hkv, Dh]', dtypes: FLOATS, about: 'keys' },
    { name: 'v', dims: '[B, Skv, Hkv, Dh]', dtypes: FLOATS, about: 'values' },
    SINKS_RULE,
  ],
  outputs: [{ name: 'o', dims: '[B, Sq, Hq, Dh]', dtypes: FLOATS, about: 'weighted values' }],
  attrs: [
    {
      name: 'causal',
      kind: 'flag',
      default: true,
      about: 'a query sees its own position and those before it',
    },
    {
      name: 'scale',
      kind: 'number',
      derived: '1 / sqrt(Dh)',
      about: 'factor of the scores, which q takes before they are summed; scores beyond f32 give NaN',
    },
    {
      name: 'window',
      kind: 'integer',
      default: 0,
      min: 0,
      max: 2 ** 31,
      about: 'keys that a query sees at most, its own position the last of them; 0: all',
    },
    SOFTCAP_RULE,
  ],
  registry: 'attention',
  variants: attentionVariants,
  size: (inputs, dims): AttentionSize => {
    requirePositive('attention', dims, ['Hq', 'Hkv', 'Dh']);
    const headDim = sizeOf(dims, 'Dh');
    const size = {
      batch: sizeOf(dims, 'B'),
      numQueries: sizeOf(dims, 'Sq'),
      numKeys: sizeOf(dims, 'Skv'),
      numHeads: sizeOf(dims, 'Hq'),
      numKvHeads: sizeOf(dims, 'Hkv'),
      headDim,
      causal: flagAttr(inputs, 'causal'),
      scale: scaleOf(inputs, headDim),
      window: numberAttr(inputs, 'window'),
      softcap: numberAttr(inputs, 'softcap'),
      hasSinks: inputs.tensors.has('sinks'),
      kvDtype: cacheDtype(tensorOf(inputs, 'k'), tensorOf(inputs, 'v')),
    };
    checkGroups('attention', size);
    checkPositions(size);
    return size;
  },
  able: (gpu, size) => ableVariants('attention', attentionVariants, kernelShape(size), gpu),
  prepare: (gpu, inputs, size, variant) => prepareQueries(gpu, inputs, size, { k: 'k', v: 'v' }, variant),
  *reference(inputs, size) {
    const given = inputs.tensors.get('sinks');
    const input = { ...size, ...floats(inputs), ...(given && { sinks: toF64(given) }) };
    if (size.batch * size.numQueries === 0) return new Map([['o', empty(inputs)]]);
    const values = yield* referenceAttention.pieces(input);
    const error = yield* attentionError.pieces(input);
    const budget = roundedTo(outputDtype(inputs), error, values);
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
  return withBuffers(gpu, async (space) => {
    const kernel = await prepareAttention(gpu, kernelShape(size), variant);
    const words = sequenceWords(size, kernel.scratchWords(size.numQueries));
    const bindable = sequencesPerBinding(gpu, size.batch, words);
    const keys = words.keys === 0 ? 'whole' : 'parts';
    const q = space.activation('q', tensorOf(inputs, 'q'), 'parts');
    const k = space.weight('k', tensorOf(inputs, names.k), size.kvDtype, keys);
    const values = tensorOf(inputs, names.v);
    const lift = liftOf(values, size.numKeys);
    const v = space.weight('v', lift === 0 ? values : timesPowerOfTwo(values, -lift), size.kvDtype, keys);
    const given = inputs.tensors.get('sinks');
    const sinks = given && { sinks: space.activation('sinks', given) };
    const o = space.output('o', tensorOf(inputs, 'q').shape, outputDtype(inputs), 'parts');
    const batches = queryBatches(space, size, words);
    const scratch = scratchOf(space, kernel, bindable * size.numQueries);
    const prepared = space.prepared(kernel.variant, (commands) => {
      for (const part of batches) {
        const { sequences, numSequences, maxQueries } = part;
        const ofQueries = { q: boundPart(q, part, words.queries), o: boundPart(o, part, words.queries) };
        const ofKeys = { k: boundPart(k, part, words.keys), v: boundPart(v, part, words.keys) };
        const buffers = { ...ofQueries, ...ofKeys, sequences, scratch, ...sinks };
        kernel.record(commands, { numSequences, maxQueries }, buffers);
      }
    });
    if (lift === 0) return prepared;
    return {
      ...prepared,
      read: async () =>
        new Map([...(await prepared.read())].map(([name, t]) => [name, timesPowerOfTwo(t, lift)])),
    };
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
export function scratchOf(space: OpBuffers, kernel: Attention, numRows: number): GpuBuffer | undefined {
  const words = kernel.scratchWords(numRows);
  return words === 0 ? undefined : space.scratch('attention parts', words);
}

/**
 * The attention block of a layer, split over tp virtual ranks as tensor parallelism splits it. B sequences,
 * S positions, D width; Q = heads * Dh and KV = kv_heads * Dh rows of the projections.
 */
import { ConfigError } from '../../core/errors.ts';
import { nearestDivisor } from '../../core/math.ts';
import { attentionVariants } from '../../kernels/attention/variants.ts';
import { ableVariants } from '../../kernels/variants.ts';
import { BYTES_OF } from '../../tensor/tensor.ts';
import { kernelShape } from './attention.ts';
import { checkGroups } from './rules.ts';
import { numberAttr } from '../attrs.ts';
import { defineOp } from '../define.ts';
import { checkEven } from '../dense/rope.ts';
import { requirePositive, sizeOf } from '../shapes.ts';
import { type BlockSize, prepareBlock } from './tp-attention-ranks.ts';
import { referenceBlock } from './tp-attention-reference.ts';
import { bytesOfInputs, outputDtype } from '../op-buffers.ts';

const FLOATS = ['f32', 'f16'] as const;

export const tpAttention = defineOp({
  name: 'tp-attention',
  about: 'projections, rope, causal attention and wo, split by heads over tp ranks and summed by all-reduce',
  inputs: [
    { name: 'x', dims: '[B, S, D]', dtypes: FLOATS, about: 'activations' },
    { name: 'wq', dims: '[Q, D]', dtypes: FLOATS, about: 'query projection, rows are outputs' },
    { name: 'wk', dims: '[KV, D]', dtypes: FLOATS, about: 'key projection' },
    { name: 'wv', dims: '[KV, D]', dtypes: FLOATS, about: 'value projection' },
    { name: 'wo', dims: '[D, Q]', dtypes: FLOATS, about: 'output projection' },
  ],
  outputs: [{ name: 'y', dims: '[B, S, D]', dtypes: FLOATS, about: 'what is added to the residual stream' }],
  attrs: [
    { name: 'heads', kind: 'integer', min: 1, max: 2 ** 31, about: 'query heads' },
    { name: 'kv_heads', kind: 'integer', min: 1, max: 2 ** 31, derived: 'heads', about: 'key/value heads' },
    {
      name: 'tp',
      kind: 'integer',
      default: 1,
      min: 1,
      max: 2 ** 31,
      about: 'ranks, each with its own heads',
    },
    {
      name: 'rope_theta',
      kind: 'number',
      default: 10000,
      min: 0,
      onHost: true,
      about: 'base of the rotary frequencies, halves paired; 0 for none',
    },
  ],
  registry: 'attention',
  variants: attentionVariants,
  size: (inputs, dims): BlockSize => {
    requirePositive('tp-attention', dims, ['D', 'Q', 'KV']);
    const numHeads = numberAttr(inputs, 'heads');
    const given = inputs.attrs.get('kv_heads');
    const size = {
      batch: sizeOf(dims, 'B'),
      length: sizeOf(dims, 'S'),
      modelDim: sizeOf(dims, 'D'),
      numHeads,
      numKvHeads: typeof given === 'number' ? given : numHeads,
      headDim: sizeOf(dims, 'Q') / numHeads,
      theta: numberAttr(inputs, 'rope_theta'),
      tp: numberAttr(inputs, 'tp'),
    };
    checkHeads(size, sizeOf(dims, 'Q'), sizeOf(dims, 'KV'));
    return size;
  },
  able: (gpu, size) => ableVariants('attention', attentionVariants, kernelShape(attentionSize(size)), gpu),
  prepare: prepareBlock,
  reference: referenceBlock,
  cost: (inputs, size) => {
    const rows = size.batch * size.length;
    const projections = 4 * rows * size.modelDim * (size.numHeads + size.numKvHeads) * size.headDim;
    const scores = 2 * rows * (size.length + 1) * size.numHeads * size.headDim;
    const sums = (size.tp - 1) * rows * size.modelDim;
    return {
      flops: projections + scores + sums,
      bytes: bytesOfInputs(inputs) + rows * size.modelDim * BYTES_OF[outputDtype(inputs)],
    };
  },
});

function attentionSize(size: BlockSize) {
  const { batch, length, numHeads, numKvHeads, headDim } = size;
  return {
    batch,
    numQueries: length,
    numKeys: length,
    numHeads,
    numKvHeads,
    headDim,
    causal: true,
    scale: 1 / Math.sqrt(headDim),
  };
}

function checkHeads(size: BlockSize, queryRows: number, kvRows: number): void {
  const { numHeads, numKvHeads, headDim, tp, theta } = size;
  if (queryRows % numHeads !== 0) {
    throw new ConfigError(
      `tp-attention: the ${queryRows} rows of wq are not a multiple of heads (${numHeads}); heads have equal size. ` +
        `Try heads=${nearestDivisor(queryRows, numHeads)}.`,
    );
  }
  checkGroups('tp-attention', size);
  if (kvRows !== numKvHeads * headDim) {
    throw new ConfigError(
      `tp-attention: wk and wv have ${kvRows} rows; expected kv_heads * head size = ${numKvHeads} * ${headDim} = ` +
        `${numKvHeads * headDim}. Set kv_heads to the number of key/value heads.`,
    );
  }
  if (numHeads % tp !== 0) {
    throw new ConfigError(
      `tp-attention: heads (${numHeads}) is not a multiple of tp (${tp}); ranks own equal numbers of heads. ` +
        `Try tp=${nearestDivisor(numHeads, tp)}.`,
    );
  }
  if (theta !== 0) {
    if (theta < 1)
      throw new ConfigError(`tp-attention: rope_theta is ${theta}; it must be 0 (none) or at least 1.`);
    checkEven('tp-attention', headDim);
  }
}

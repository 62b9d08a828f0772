/** What `attention` and `paged-attention` have in common: rules of their tensors, attributes and heads. */
import { ConfigError } from '../../core/errors.ts';
import { nearestDivisor } from '../../core/math.ts';
import type { AttrRule, OpInputs, TensorRule } from '../op.ts';

export const SINKS_RULE: TensorRule = {
  name: 'sinks',
  dims: '[Hq]',
  dtypes: ['f32', 'f16'],
  optional: true,
  about:
    'logits that join the denominator of their head and weigh no value; -Inf is no sink, NaN or +Inf makes the head NaN',
};

export const SOFTCAP_RULE: AttrRule = {
  name: 'softcap',
  kind: 'number',
  default: 0,
  min: 0,
  max: 1e37,
  about: 'scores become softcap tanh(score / softcap); 0: they stay',
};

/** `scale`, or 1 / sqrt(Dh). */
export function scaleOf(inputs: OpInputs, headDim: number): number {
  const scale = inputs.attrs.get('scale');
  return typeof scale === 'number' ? scale : 1 / Math.sqrt(headDim);
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

interface Positions {
  readonly batch: number;
  readonly numQueries: number;
  readonly numKeys: number;
  readonly causal: boolean;
  readonly window?: number;
}

/** @throws ConfigError for a query without its own key, and a window without a causal mask. */
export function checkPositions({ batch, numQueries, numKeys, causal, window = 0 }: Positions): void {
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

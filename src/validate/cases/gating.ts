/** Cases of `gate-topk`: logits [tokens, experts]. */
import { gateTopk } from '../../ops/gate-topk.ts';
import { opCases } from '../kernel-case.ts';

export const gatingCases = opCases(gateTopk, {
  'one token': { quick: true, attrs: { k: 2 }, tensors: (make) => ({ logits: make.normal([1, 8]) }) },
  'no tokens': { attrs: { k: 2 }, tensors: (make) => ({ logits: make.normal([0, 8]) }) },
  primes: { quick: true, attrs: { k: 3 }, tensors: (make) => ({ logits: make.normal([37, 13]) }) },
  renormalized: {
    attrs: { k: 3, renormalize: true },
    tensors: (make) => ({ logits: make.normal([37, 13]) }),
  },
  sigmoid: { attrs: { k: 3, score: 'sigmoid' }, tensors: (make) => ({ logits: make.normal([37, 13]) }) },
  'k = E': { attrs: { k: 7 }, tensors: (make) => ({ logits: make.normal([5, 7]) }) },
  'E = 1': { attrs: { k: 1 }, tensors: (make) => ({ logits: make.normal([4, 1]) }) },
  'E = 256': {
    attrs: { k: 8, score: 'sigmoid', renormalize: true },
    tensors: (make) => ({ logits: make.normal([19, 256]) }),
  },
  'E = 601': { attrs: { k: 3 }, tensors: (make) => ({ logits: make.normal([3, 601]) }) },
  'equal logits': {
    quick: true,
    attrs: { k: 4 },
    tensors: (make) => ({ logits: make.filled([6, 96], () => 0.25) }),
  },
  'many ties': { attrs: { k: 5 }, tensors: (make) => ({ logits: make.whole([64, 80], 3) }) },
  'large logits': { attrs: { k: 3 }, tensors: (make) => ({ logits: make.normal([40, 9], 30) }) },
  outliers: { attrs: { k: 2 }, tensors: (make) => ({ logits: make.outliers([40, 32]) }) },
  'masked experts': {
    attrs: { k: 2 },
    tensors: (make) => ({
      logits: make.filled([12, 6], (i) => (i % 3 === 0 ? -Infinity : make.random.normal())),
    }),
  },
  'f16 logits': { attrs: { k: 2 }, tensors: (make) => ({ logits: make.half(make.normal([21, 8])) }) },
  '1,000 tokens': { attrs: { k: 6 }, tensors: (make) => ({ logits: make.normal([1000, 64]) }) },
  '5,000 tokens, many ties': { attrs: { k: 1 }, tensors: (make) => ({ logits: make.whole([5000, 2], 2) }) },
});

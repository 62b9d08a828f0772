/** Cases of `gate-topk`: logits [tokens, experts]. */
import type { GroupLimit, ScoreFunction } from '../../core/gating.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { gateTopk } from '../../ops/moe/gate-topk.ts';
import { opCases, type OpCase } from '../kernel-case.ts';
import type { Maker } from '../draw/maker.ts';
import { separatedLogits } from '../draw/separated.ts';

/** Plain choices at the edges of sizes and of the registers that hold the best. */
const sized = (tokens: number, experts: number, k: number): Record<string, OpCase> => ({
  [`E = ${experts}, k = ${k}`]: {
    attrs: { k, renormalize: k % 2 === 0 },
    tensors: (make) => ({ logits: make.normal([tokens, experts]) }),
  },
});

interface Mode {
  readonly tokens: number;
  readonly experts: number;
  readonly k: number;
  readonly score?: ScoreFunction;
  readonly biased?: boolean;
  readonly groups?: GroupLimit;
  readonly renormalize?: boolean;
  readonly scale?: number;
  readonly quick?: boolean;
}

/** A mode that compares scores, on logits whose choice has a margin. */
function mode(m: Mode): OpCase {
  const { tokens, experts, k, score = 'sigmoid', biased = false, groups, renormalize = true, scale = 1 } = m;
  const routed = { numExperts: experts, topK: k, score, renormalize: false, groups };
  return {
    quick: m.quick ?? false,
    attrs: { k, score, renormalize, scale, ...groupAttrs(groups) },
    tensors: (make): Record<string, Tensor> => {
      if (!biased) return { logits: separatedLogits(make, tokens, routed) };
      const bias = make.normal([experts], 0.3);
      return { logits: separatedLogits(make, tokens, { ...routed, bias }), bias };
    },
  };
}

function groupAttrs(groups: GroupLimit | undefined): OpCase['attrs'] {
  return groups && { groups: groups.count, groups_kept: groups.kept, group_score: groups.score };
}

/** DeepSeek-V3: sigmoid, bias, 8 groups of which 4 stay by their two best, 2.5 times the normalised scores. */
const V3 = { biased: true, groups: { count: 8, kept: 4, score: 'top2' }, scale: 2.5 } as const;
/** DeepSeek-V2: softmax, 8 groups of which 3 stay by their best. */
const V2 = { score: 'softmax', groups: { count: 8, kept: 3, score: 'max' }, renormalize: false } as const;

/** Every third expert masked, and all of the second group of four. */
const masked = (make: Maker): Tensor =>
  make.filled([12, 16], (i) =>
    i % 3 === 0 || (i % 16 >= 4 && i % 16 < 8) ? -Infinity : make.random.normal(),
  );

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
  ...sized(5, 2, 1),
  ...sized(5, 2, 2),
  ...sized(70, 16, 8),
  ...sized(9, 17, 16),
  ...sized(33, 64, 4),
  ...sized(33, 64, 5),
  ...sized(33, 64, 9),
  ...sized(11, 256, 12),
  ...sized(11, 256, 13),
  ...sized(3, 1023, 16),
  ...sized(9, 1024, 1),
  ...sized(9, 1024, 16),
  'sigmoid of equal scores': {
    // Scores of 1 in f32: only the logits tell the experts apart.
    attrs: { k: 3, score: 'sigmoid' },
    tensors: (make) => ({ logits: make.filled([6, 9], (i) => 20 + ((i * 5) % 9)) }),
  },
  'zeros of both signs': {
    attrs: { k: 5 },
    tensors: (make) => ({ logits: make.filled([6, 11], (i) => (i % 3 === 0 ? 0 : -0)) }),
  },
  'subnormal logits': {
    attrs: { k: 5 },
    tensors: (make) => ({ logits: make.filled([6, 11], (i) => (((i * 7) % 11) - 5) * 2 ** -149) }),
  },
  'sigmoid with a bias': mode({ tokens: 37, experts: 13, k: 3, biased: true, quick: true }),
  'sigmoid with a bias, scaled': mode({ tokens: 9, experts: 256, k: 8, biased: true, scale: 2.5 }),
  'softmax with a bias': mode({ tokens: 37, experts: 13, k: 3, score: 'softmax', biased: true }),
  'softmax with a bias, E = 1,024, k = 16': mode({
    ...{ tokens: 3, experts: 1024, k: 16, score: 'softmax', biased: true, renormalize: false },
  }),
  'a bias that ties': {
    quick: true,
    attrs: { k: 4, score: 'sigmoid', renormalize: true },
    tensors: (make) => ({
      logits: make.filled([20, 12], () => make.random.integer(2)),
      bias: make.filled([12], () => make.random.integer(2) / 2),
    }),
  },
  'a bias does not revive a masked expert': {
    attrs: { k: 2, score: 'sigmoid' },
    tensors: (make) => ({
      logits: make.filled([4, 6], (i) => (i % 3 === 0 ? -Infinity : (i % 6) / 2)),
      bias: make.filled([6], (e) => (e % 3 === 0 ? 5 : 0)),
    }),
  },
  'DeepSeek-V3': mode({ tokens: 19, experts: 256, k: 8, ...V3 }),
  'DeepSeek-V2': mode({ tokens: 19, experts: 160, k: 6, ...V2 }),
  'groups by their best, renormalized': mode({ tokens: 19, experts: 24, k: 5, ...V2, renormalize: true }),
  'groups by two softmax scores': mode({
    ...{ tokens: 19, experts: 32, k: 4, score: 'softmax', groups: { count: 4, kept: 2, score: 'top2' } },
  }),
  'groups by two sigmoids': mode({
    ...{ tokens: 19, experts: 32, k: 4, groups: { count: 8, kept: 2, score: 'top2' } },
  }),
  '16 groups by two sigmoids': mode({
    ...{ tokens: 19, experts: 64, k: 4, groups: { count: 16, kept: 3, score: 'top2' } },
  }),
  'groups by their best with a bias': mode({
    ...{ tokens: 19, experts: 30, k: 4, biased: true, groups: { count: 5, kept: 2, score: 'max' } },
  }),
  'groups of one': mode({ tokens: 7, experts: 8, k: 3, groups: { count: 8, kept: 4, score: 'top2' } }),
  'all groups kept': mode({ tokens: 7, experts: 8, k: 8, groups: { count: 4, kept: 4, score: 'top2' } }),
  'more groups kept than experts chosen': mode({
    ...{ tokens: 7, experts: 64, k: 2, groups: { count: 8, kept: 6, score: 'max' } },
  }),
  '32 groups, 16 kept': mode({
    ...{ tokens: 7, experts: 64, k: 16, groups: { count: 32, kept: 16, score: 'max' } },
  }),
  'equal groups': {
    attrs: { k: 3, groups: 4, groups_kept: 2, score: 'sigmoid' },
    tensors: (make) => ({ logits: make.filled([5, 16], () => 0.5) }),
  },
  'masked experts in groups': {
    attrs: { k: 2, groups: 4, groups_kept: 2, group_score: 'max' },
    tensors: (make) => ({ logits: masked(make) }),
  },
  'masked experts in groups by two sigmoids': {
    attrs: { k: 2, groups: 4, groups_kept: 3, score: 'sigmoid', renormalize: true },
    tensors: (make) => ({ logits: masked(make) }),
  },
});

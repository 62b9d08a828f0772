/** Faults of attention: which keys a query sees, the softmax along parts, sinks, caps, pages, halves. */
import { faultsIn, type Fault, type Mutant } from '../mutant.ts';
import { AS_ON_A_GPU } from './kinds.ts';

const attention = (only: string) => ({
  tests: ['kernels/attention/attention.shared.test.ts'],
  only: `^attention (${only})$`,
});
const paged = {
  tests: ['kernels/attention/paged-attention.shared.test.ts'],
  only: '^paged-attention (decode|many|prompts|window)',
};
const PREFILL = 'primes|grouped queries|sliding window|soft cap|sinks|sinks, window and soft cap|not causal';
const DECODE =
  'a few queries, many keys, a window|decode with a cache|window while decoding|sinks and soft cap while decoding|grouped queries';
const SPLIT = 'many keys while decoding|a few queries, many keys, a window|parts that only some queries see';

const causal = (find: string): Fault => ({
  find,
  replace: find.replace('+ i + 1u', '+ i'),
  why: 'a query does not see its own position',
});
const window: Fault = {
  find: 'return select(0u, numKeys - min(numKeys, params.window), params.window > 0u);',
  replace: 'return select(0u, numKeys - min(numKeys, params.window + 1u), params.window > 0u);',
  why: 'a window is a key too wide',
};
const capSign: Fault = {
  find: 'select(far, -far, score < 0.0)',
  replace: 'far',
  why: 'large negative scores are capped to positive ones',
};
const sinkOut: Fault = {
  find: 'denominator = sinkShare(sinks_H[h], highest);',
  replace: 'denominator = 0.0;',
  why: 'a sink takes nothing of the weight',
};

export const attentionFaults: readonly Mutant[] = [
  ...faultsIn('shaders/attention/plain.wgsl', attention(PREFILL), [
    causal('numKeys = sequence.z - sequence.y + i + 1u;'),
    window,
    capSign,
    sinkOut,
    {
      find: 'let kvHead = h / (params.numHeads / params.numKvHeads);',
      replace: 'let kvHead = h % params.numKvHeads;',
      why: 'heads of a group are dealt out in turn',
    },
    { find: '* params.scale;', replace: ';', why: 'scores are not scaled' },
  ]),
  ...faultsIn('shaders/attention/plain.wgsl', { tests: ['ops/attention/attention-special.shared.test.ts'] }, [
    {
      find: 'select(select(exp(below), 1.0, sink == highest), below, isNaN(below))',
      replace: 'select(exp(below), 0.0, isNaN(below))',
      why: 'a sink of NaN weighs nothing',
    },
  ]),
  ...faultsIn('shaders/attention/flash.wgsl', attention(`${PREFILL}|sequence 1,000`), [
    {
      find: 'for (var d = 0u; d < vecs; d += 1u) { o[d] *= shrink; }',
      replace: '',
      why: 'sums keep the weight they had under a lower maximum',
    },
    {
      find: 'let hidden = max(oldest, first) - first;',
      replace: 'let hidden = 0u;',
      why: 'keys before the window of a query count, when a neighbour sees them',
    },
    {
      find: 'let visible = min(count, max(numKeys, first) - first);',
      replace: 'let visible = count;',
      why: 'a query sees what the last of its workgroup sees',
    },
    {
      find: 'let oldestOfGroup = firstVisible(numKeysOfGroup - min(numKeysOfGroup, younger));',
      replace: 'let oldestOfGroup = firstVisible(numKeysOfGroup);',
      why: 'the first queries of a workgroup lose the oldest keys of their windows',
    },
  ]),
  ...faultsIn('shaders/attention/subgroup.wgsl', attention(`${PREFILL}|sequence 1,000`), [
    { find: 'a13 *= seen13.shrink;', replace: '', why: 'one row of sixteen is not shrunk' },
    {
      find: 'weigh(&s9, key, visible + 9u * next, &seen9);',
      replace: 'weigh(&s9, key, visible + 8u * next, &seen9);',
      why: 'the tenth query sees as much as the ninth',
    },
    {
      find: 'highest = max(highest, subgroupShuffleXor(highest, 2u));',
      replace: '',
      why: 'lanes do not agree on the highest score',
    },
    {
      find: 'select(0.0, sinkShare(sink, highest), lane == 0u)',
      replace: 'sinkShare(sink, highest)',
      why: 'every lane adds the sink',
    },
  ]),
  ...faultsIn('shaders/attention/subgroup.wgsl', attention('a last value that is infinite'), [
    {
      find: 'for (; again != 0u; again &= again - 1u) {',
      replace: 'for (; again > 0xffffffffu; again &= again - 1u) {',
      why: 'a key that is not seen spoils a row when it is infinite',
    },
  ]),
  ...faultsIn('shaders/attention/decode.wgsl', attention(DECODE), [
    window,
    {
      find: 'denominator *= shrink;',
      replace: '',
      why: 'the denominator of earlier chunks keeps its weight',
    },
    {
      find: 'for (var g = 1u; g < GROUPS; g += 1u) { o[0]',
      replace: 'for (var g = 1u; g + 1u < GROUPS; g += 1u) { o[0]',
      why: 'the last group of lanes is left out',
    },
  ]),
  ...faultsIn('shaders/attention/decode.wgsl', { ...attention(SPLIT), ...AS_ON_A_GPU }, [
    {
      find: 'numKeys = min(numKeys, oldest + params.keysPerPart);',
      replace: 'numKeys = min(numKeys, oldest + params.keysPerPart + 1u);',
      why: 'parts overlap by a key',
    },
  ]),
  ...faultsIn('shaders/attention/decode-subgroup.wgsl', attention(DECODE), [
    {
      find: 'select(0.0, sinkShare(sinks_H[h], highest), lane == 0u)',
      replace: 'sinkShare(sinks_H[h], highest)',
      why: 'every lane adds the sink',
    },
    {
      find: 'p.z * valueIf(at.z + columnB, there.z) + p.w * valueIf(at.w + columnB, there.w);',
      replace: 'p.z * valueIf(at.z + columnB, there.z);',
      why: 'the upper columns miss a quarter of the keys',
    },
  ]),
  // Only a CPU adapter's choice cuts these cases into parts, of which maxima differ, the last is not full or a window has none.
  ...faultsIn(
    'shaders/attention/merge.wgsl',
    attention(`${SPLIT}|sinks and soft cap while decoding|keys and values in f16`),
    [
      {
        find: 'denominator += shrink * seen.y;',
        replace: 'denominator += seen.y;',
        why: 'denominators of parts are not brought to one maximum',
      },
      {
        find: 'let count = (numKeys + params.keysPerPart - 1u) / params.keysPerPart;',
        replace: 'let count = numKeys / params.keysPerPart;',
        why: 'a last part that is not full is left out',
      },
      {
        find: 'if (params.window > 0u) { numKeys = min(numKeys, params.window); }',
        replace: '',
        why: 'parts that no window has are read',
      },
    ],
  ),
  ...faultsIn('shaders/attention/plain.wgsl', paged, [
    {
      find: 'key / params.pageSize;',
      replace: 'key % params.pageSize;',
      why: 'page and place within it change roles',
    },
  ]),
  ...faultsIn('shaders/attention/decode-subgroup.wgsl', paged, [
    {
      find: 'let page = slot * (params.cacheLength / params.pageSize) + key',
      replace: 'let page = key',
      why: "every sequence reads the first one's pages",
    },
  ]),
  ...faultsIn('shaders/attention/plain.wgsl', attention('keys and values in f16|an odd number of halves'), [
    {
      find: 'unpack2x16float(v_RHD[at / 2u])[at % 2u]',
      replace: 'unpack2x16float(v_RHD[at / 2u])[0]',
      why: 'values in odd places are those before them',
    },
  ]),
];

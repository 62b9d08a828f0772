/** Faults of the expert FFN: formats, epilogues, few rows and many, the joined down projection. */
import { faultsIn, type Fault, type Mutant } from '../mutant.ts';
import { AS_ON_A_GPU } from './kinds.ts';

const moe = (only: string) => ({ tests: ['kernels/experts/moe.shared.test.ts'], only: `^moe (${only})$` });
const direct = { tests: ['kernels/experts/direct-experts.shared.test.ts'] };
/** All of them, where one narrow case does not compile what is at fault. */
const all = { tests: ['kernels/experts/moe.shared.test.ts'] };
const wide = { tests: ['ops/wide-scales.shared.test.ts'] };
const FORMATS = '(int8|int4|mxfp4) weights|f16 weights';
const EPILOGUES =
  'primes|silu, gated|gelu, not gated|relu, gated|swiglu_oai, clamped|all biases|mxfp4 weights as in gpt-oss, clamped';

const upBias: Fault = {
  find: 'u += bias(expert, n, 1u);',
  replace: 'u += bias(expert, n, 0u);',
  why: 'the up projection has the bias of the gate',
};
const sigmoid: Fault = {
  find: 'fn sigmoid(v : f32) -> f32 { return 1.0 / (1.0 + exp(-v)); }',
  replace: 'fn sigmoid(v : f32) -> f32 { return 1.0 / (1.0 + exp(v)); }',
  why: 'the sigmoid falls',
};
const limit: Fault = {
  find: 'atMost(atLeast(up, -params.limit), params.limit)',
  replace: 'atMost(up, params.limit)',
  why: 'the up projection is clamped from above only',
};
const e2m1: Fault = {
  find: '0xc8643210u',
  replace: '0xc8543210u',
  why: 'one magnitude of e2m1 is wrong',
};

export const expertFaults: readonly Mutant[] = [
  ...faultsIn('shaders/experts/plain.wgsl', moe(EPILOGUES), [
    sigmoid,
    limit,
    {
      find: 'bias_E2N[tile.x * width + params.numCols + n]',
      replace: 'bias_E2N[tile.x * width + n]',
      why: 'the up projection has the bias of the gate',
    },
  ]),
  ...faultsIn('shaders/experts/subgroup.wgsl', all, [
    upBias,
    limit,
    {
      find: 'row(sums.low[2], subgroupShuffle(x.low, 2u), w4)',
      replace: 'row(sums.low[2], subgroupShuffle(x.low, 1u), w4)',
      why: 'the third row is the second',
    },
  ]),
  // SwiftShader's subgroups have four lanes.
  ...faultsIn(
    'shaders/experts/subgroup.wgsl',
    { ...moe('primes|1,000 tokens'), env: { MOEBIUS_ADAPTER: 'swiftshader' } },
    [
      {
        find: 'let high = min(first + 4u + lane % LANES, end - 1u);',
        replace: 'let high = min(first + lane % LANES, end - 1u);',
        why: 'with four lanes rows 4 to 7 are rows 0 to 3',
      },
    ],
  ),
  ...faultsIn('shaders/experts/subgroup.wgsl', moe(`${FORMATS}|(int8|int4|mxfp4) weights, wide`), [
    e2m1,
    {
      find: 'halves2(word(weights, 2u * index + 1u))',
      replace: 'halves2(word(weights, 2u * index))',
      why: 'two of four halves are read twice',
    },
  ]),
  ...faultsIn(
    'shaders/experts/subgroup.wgsl',
    moe('1,000 tokens|(int8|int4|mxfp4) weights, an empty expert, 70 tokens'),
    [
      {
        find: 'if (ROWS > 16u) { sums1 = eight(sums1, x1, w4); }',
        replace: '',
        why: 'the shorter loop stops at eight rows',
      },
      {
        find: 'let rows2 = heldSources(tile.y + 16u, tile.z, lane);',
        replace: 'let rows2 = heldSources(tile.y + 8u, tile.z, lane);',
        why: 'the third eight rows are the second',
      },
    ],
  ),
  ...faultsIn('shaders/experts/subgroup.wgsl', wide, [
    {
      find: 'factors = vec4<f32>(x.y, y.y, z.y, w.y);',
      replace: 'factors = vec4<f32>(x.y);',
      why: 'all rows have the factor of the first',
    },
  ]),
  ...faultsIn('shaders/experts/vector.wgsl', all, [
    {
      find: 'sum += subgroupShuffleXor(sum, 2u);\n  return sum',
      replace: 'return sum',
      why: 'half of the lanes are left out of a sum',
    },
    {
      find: 'p.c1 = chunkOf(x, row, own + LANES);',
      replace: 'p.c1 = chunkOf(x, row, own);',
      why: 'the second chunk of a panel is the first',
    },
  ]),
  ...faultsIn('shaders/experts/few.wgsl', all, [
    {
      find: 'chunkDot(x.r2, w), chunkDot(x.r3, w)',
      replace: 'chunkDot(x.r2, w), chunkDot(x.r2, w)',
      why: 'the fourth row is the third',
    },
    {
      find: 'if (LOADS > 1u) { p.c1 = fourOf(rows, own + LANES); }',
      replace: '',
      why: 'half of a panel is zero',
    },
  ]),
  ...faultsIn('shaders/experts/tiled.wgsl', { ...all, ...AS_ON_A_GPU }, [
    limit,
    {
      find: 'bias_E2N[expert * width + which * params.numCols + n]',
      replace: 'bias_E2N[expert * width + n]',
      why: 'the up projection has the bias of the gate',
    },
  ]),
  ...faultsIn('src/kernels/experts/path.ts', { tests: ['kernels/experts/direct-experts.shared.test.ts'] }, [
    {
      find: '/ numExperts <= FEW_ROWS;',
      replace: '/ numExperts < FEW_ROWS;',
      why: 'two rows an expert go by a plan',
    },
    {
      find: 'numTokens * topK > DIRECT_CHOICES',
      replace: 'numTokens > DIRECT_CHOICES',
      why: 'tokens are counted where choices are bounded',
    },
  ]),
  ...faultsIn('shaders/experts/down-combine.wgsl', { ...direct, ...AS_ON_A_GPU }, [
    {
      find: 'if (expert == NO_SLOT) { continue; }',
      replace: 'if (expert == NO_SLOT) { break; }',
      why: 'what follows an absent choice is left out',
    },
    {
      find: 'totals[j / WG] += scores_TK[choice] * total;',
      replace: 'totals[j / WG] += scores_TK[t] * total;',
      why: 'choices have the score of another',
    },
  ]),
  ...faultsIn(
    'shaders/experts/down-combine.wgsl',
    { ...moe('one token|int4 weights, not gated, biases, one token'), ...AS_ON_A_GPU },
    [
      {
        find: 'if (BIASED) { total += bias_EN[first + n + j]; }',
        replace: '',
        why: 'the down projection has no bias',
      },
    ],
  ),
  ...faultsIn('shaders/experts/down-combine-vector.wgsl', direct, [
    {
      find: 'if (ids_TK[choice] == NO_SLOT) { continue; }',
      replace: 'if (ids_TK[choice] == NO_SLOT) { break; }',
      why: 'what follows an absent choice is left out',
    },
  ]),
  ...faultsIn('shaders/experts/vector.wgsl', all, [
    {
      find: 'total(panelDot(&w3_ENK, x, rowW, own))',
      replace: 'total(panelDot(&w1_ENK, x, rowW, own))',
      why: 'the up projection has the weights of the gate',
    },
  ]),
  ...faultsIn('shaders/experts/few.wgsl', moe('int8 weights|int8 weights, an empty expert, 70 tokens'), [
    {
      find: 'u *= scale(&w3_ENK, rowW);',
      replace: 'u *= scale(&w1_ENK, rowW);',
      why: 'the up projection has the scales of the gate',
    },
  ]),
  ...faultsIn('shaders/experts/tiled.wgsl', { ...moe('primes|silu, gated'), ...AS_ON_A_GPU }, [
    {
      find: 'w3 = weight(&w3_ENK, index, rowW);',
      replace: 'w3 = weight(&w1_ENK, index, rowW);',
      why: 'the up projection has the weights of the gate',
    },
  ]),
];

/** Faults of the choice of experts: ties, groups, biases, scores. */
import { faultsIn, type Mutant } from '../mutant.ts';
import { AS_ON_A_GPU } from './kinds.ts';

const internal = (only: string) => ({
  tests: ['kernels/routing/internal.shared.test.ts'],
  only: `^internal ${only}`,
});
const gating = (only: string) => ({
  tests: ['kernels/routing/gate-topk.shared.test.ts'],
  only: `^gate-topk ${only}`,
});

export const gatingFaults: readonly Mutant[] = [
  ...faultsIn(
    'shaders/gating/topk-thread.wgsl',
    gating('(primes|many ties|sigmoid|masked|renormalized|DeepSeek|groups|32 groups|E = 256)'),
    [
      {
        find: 'second = max(second, min(key, highest));',
        replace: 'second = highest;',
        why: "a group's second best is the best before the last best",
      },
      {
        find: 'if (BIASED) { value += bias_E[e]; }',
        replace: 'if (BIASED) { value *= 1.0 + bias_E[e]; }',
        why: 'the bias is a factor',
      },
      {
        find: 'let over1 = vec4<i32>(key) > old.key1;',
        replace: 'let over1 = vec4<i32>(key) >= old.key1;',
        why: 'ties among the fifth to eighth go to the higher expert',
      },
    ],
  ),
  ...faultsIn(
    'shaders/gating/topk-workgroup.wgsl',
    {
      tests: ['kernels/routing/gate-topk.shared.test.ts', 'kernels/absent.test.ts'],
      only: '(^gate-topk (primes|many ties|equal logits|masked|E = 256|DeepSeek)|equal groups)',
    },
    [
      {
        find: 'if (!BIASED || e == NONE || other == NONE) { return e < other; }',
        replace: 'if (!BIASED || e == NONE || other == NONE) { return e > other; }',
        why: 'ties go to the higher expert',
      },
      {
        find: 'if (key > highest || (BIASED',
        replace: 'if (key >= highest || (BIASED',
        why: 'ties of one lane go to the higher expert',
      },
      {
        find: 'beats(rival, own) || (other < g && !beats(own, rival))',
        replace: 'beats(rival, own)',
        why: 'more groups than wanted stay when they are equal',
      },
    ],
  ),
  ...faultsIn(
    'shaders/gating/topk-workgroup.wgsl',
    { ...gating('(primes|many ties|E = 256|DeepSeek|groups)'), ...AS_ON_A_GPU },
    [
      {
        find: 'idOfLane[lane] = id;\n  workgroupBarrier();',
        replace: 'idOfLane[lane] = id;',
        why: 'the tree of candidates does not wait for them',
      },
      {
        find: 'sumOfLane[lane] = part;\n  workgroupBarrier();',
        replace: 'sumOfLane[lane] = part;',
        why: 'the denominator is summed before its parts are there',
      },
      {
        find: 'worthOfGroup[g] = groupWorth(g, row); }\n  workgroupBarrier();',
        replace: 'worthOfGroup[g] = groupWorth(g, row); }',
        why: 'groups are ranked before all have a score',
      },
    ],
  ),
  ...faultsIn('shaders/gating/router-topk.wgsl', internal('router'), [
    {
      find: 'if (params.renormalize == 1u) { score /= selected; }',
      replace: '',
      why: 'the fused router does not renormalise',
    },
    { find: 'score * params.scale;', replace: 'score;', why: 'the fused router does not scale' },
  ]),
  ...faultsIn('shaders/gating/router-topk.wgsl', { ...internal('router'), ...AS_ON_A_GPU }, [
    {
      find: 'sumOfLane[lane] = total;\n      workgroupBarrier();',
      replace: 'sumOfLane[lane] = total;',
      why: 'parts of a logit are summed before they are there',
    },
  ]),
];

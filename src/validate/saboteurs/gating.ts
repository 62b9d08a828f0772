/** Faults of the choice of experts. */
import type { Saboteur } from './saboteur.ts';

const gating = { shader: 'gating/topk-thread', family: 'gate-topk', variant: 'thread' } as const;

export const gatingSaboteurs: readonly Saboteur[] = [
  {
    ...gating,
    name: 'gives ties to the higher expert',
    find: 'let over0 = vec4<i32>(key) > old.key0;',
    replace: 'let over0 = vec4<i32>(key) >= old.key0;',
    caseName: 'equal logits',
  },
  {
    ...gating,
    name: 'normalises over the chosen only',
    find: 'if (params.renormalize == 1u) {\n    let selected',
    replace: 'if (params.renormalize <= 1u) {\n    let selected',
    caseName: 'primes',
  },
  {
    ...gating,
    name: 'chooses without the bias',
    find: 'value += bias_E[e];',
    replace: 'value += 0.0 * bias_E[e];',
    caseName: 'sigmoid with a bias',
  },
  {
    ...gating,
    name: 'weighs with the bias',
    find: 'scores.x = scoreOf(logits_TE[first + ids.x], row);',
    replace: 'scores.x = scoreOf(logits_TE[first + ids.x], row) + bias_E[ids.x];',
    caseName: 'sigmoid with a bias',
  },
  {
    ...gating,
    name: 'keeps all groups',
    find: '((kept >> (e / size)) & 1u) == 1u',
    replace: '((kept >> (e / size)) & 1u) <= 1u',
    caseName: 'groups by two sigmoids',
  },
  {
    name: 'ranks groups by their best only',
    shader: 'gating/topk-workgroup',
    find: '!TOP2 || second.key <= MASKED',
    replace: '!TOP2 || second.key <= FIRST',
    ...{ family: 'gate-topk', caseName: 'groups by two sigmoids', variant: 'workgroup' },
  },
  {
    name: 'chooses an expert again',
    shader: 'gating/topk-workgroup',
    find: 'keys[own] = EMPTY;',
    replace: 'keys[own] += 0;',
    ...{ family: 'gate-topk', caseName: 'primes', variant: 'workgroup' },
  },
  {
    name: 'leaves out the last columns of the gate',
    shader: 'gating/router-topk',
    find: 'k < depth4; k += PARTS',
    replace: 'k + 1u < depth4; k += PARTS',
    ...{ family: 'internal', caseName: 'router with its top-k', variant: 'default' },
  },
];

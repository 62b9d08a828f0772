/** A fault in the admission of choices to slots, and in the bias that follows their load. */
import type { Saboteur } from './saboteur.ts';

const admit = { shader: 'routing/admit', family: 'internal', variant: 'default' } as const;

export const admissionSaboteurs: readonly Saboteur[] = [
  {
    ...admit,
    name: 'deals the rows of all sources from the same turn on',
    find: 's.member * params.turns / params.groupSize',
    replace: '0u * params.turns / params.groupSize',
    caseName: 'admit, replicas without a capacity',
  },
  {
    ...admit,
    name: 'gives a choice that was dropped before a slot',
    find: 'if (e >= params.numExperts) { e = NO_SLOT; }',
    replace: 'if (e >= params.numExperts) { e = 0u; }',
    caseName: 'admit, replicas without a capacity',
  },
  {
    ...admit,
    name: 'lets a slot take one row too many',
    find: 'if (found.y < room)',
    replace: 'if (found.y <= room)',
    caseName: 'admit, by position of each source',
  },
  {
    ...admit,
    name: 'gives every source a capacity of its own',
    find: 'select(group.x + 1u, params.groupSize, params.together == 1u)',
    replace: 'select(group.x + 1u, params.groupSize, params.together == 2u)',
    caseName: 'admit, by position of all',
  },
  {
    shader: 'routing/bias-update',
    ...{ family: 'internal', variant: 'default', caseName: 'bias of a load' },
    name: 'counts the rows of a rank without tokens',
    find: 'if (loads_S4[rank].x > 0u) { load += ',
    replace: 'if (loads_S4[rank].y > 0u) { load += ',
  },
  {
    shader: 'routing/bias-update',
    ...{ family: 'internal', variant: 'default', caseName: 'bias of a load' },
    name: 'raises the bias of busy experts',
    find: 'if (load < all) { bias_E[e] += params.rate; }',
    replace: 'if (load > all) { bias_E[e] += params.rate; }',
  },
];

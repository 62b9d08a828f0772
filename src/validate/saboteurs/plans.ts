/**
 * A barrier or a dropped choice left out of each plan, and of the choice by a workgroup. Kernels are chosen as for a
 * GPU: on a CPU adapter a workgroup is one subgroup otherwise, and no barrier matters.
 */
import type { Saboteur } from './saboteur.ts';

const plan = { family: 'internal', variant: 'default', kernelKind: 'gpu' } as const;
const topk = {
  shader: 'gating/topk-workgroup',
  family: 'gate-topk',
  variant: 'workgroup',
  kernelKind: 'gpu',
} as const;

/** The barrier after `text` is taken out. */
function noBarrierAfter(text: string): Pick<Saboteur, 'find' | 'replace'> {
  const indent = /^ */.exec(text.split('\n').at(-1) ?? '')?.[0] ?? '';
  return { find: `${text}\n${indent}workgroupBarrier();`, replace: text };
}

const local = { ...plan, shader: 'routing/plan-local', caseName: 'local plan, more experts than choices' };
const small = {
  ...plan,
  shader: 'routing/plan-small',
  caseName: 'route plan, the most that one dispatch takes',
};
const many = { ...plan, caseName: 'route plan, 300 experts' };
const tiles = {
  ...plan,
  shader: 'routing/scan-tiles',
  caseName: 'local plan, three dispatches, 1,024 experts',
};
const CLEARED = '{ atomicStore(&found[e], 0u); }';
const COUNTED = '{ atomicAdd(&found[e], 1u); }\n  }';
const RUNS = '  ofRun[lane] = own;';
const STARTS = '    total[e] = running;\n    running += count;\n  }';

export const planSaboteurs: readonly Saboteur[] = [
  {
    ...local,
    name: 'counts before the counters of a local plan are clear',
    ...noBarrierAfter(`  for (var e = lane; e < params.numExperts; e += WG) ${CLEARED}`),
  },
  {
    ...local,
    name: 'reads the counters of a local plan early',
    ...noBarrierAfter(`    if (e < params.numExperts) ${COUNTED}`),
  },
  {
    ...local,
    name: 'sums the experts of a local plan early',
    ...noBarrierAfter(
      '  for (var e = lane; e < params.numExperts; e += WG) { total[e] = rowsAndTiles(atomicLoad(&found[e])); }',
    ),
  },
  { ...local, name: 'reads the runs of a local plan early', ...noBarrierAfter(RUNS) },
  { ...local, name: 'reads the starts of a local plan early', ...noBarrierAfter(STARTS) },
  {
    ...local,
    name: 'places the choices of a local plan early',
    ...noBarrierAfter('  writeTiles(lane, all);'),
  },
  {
    ...local,
    caseName: 'local plan',
    name: 'does not wait for the next rows of a local plan',
    ...noBarrierAfter('  if (known && before + 1u == same) { next[e] += same; }'),
  },
  {
    ...local,
    caseName: 'local plan, dropped choices',
    name: 'gives a dropped choice a row in a local plan',
    find: 'var slot = NO_SLOT;',
    replace: 'var slot = 0u;',
  },
  {
    ...small,
    name: 'counts before the counters of a small plan are clear',
    ...noBarrierAfter(`  for (var e = lane; e < params.numExperts; e += WG) ${CLEARED}`),
  },
  {
    ...small,
    name: 'reads the counters of a small plan early',
    ...noBarrierAfter(`    if (e < params.numExperts) ${COUNTED}`),
  },
  { ...small, name: 'reads the runs of a small plan early', ...noBarrierAfter(RUNS) },
  {
    ...small,
    name: 'does not wait for the next rows of a small plan',
    ...noBarrierAfter('  if (known && before + 1u == same) { total[e] += same; }'),
  },
  {
    ...small,
    caseName: 'route plan, dropped choices',
    name: 'gives a dropped choice a row in a small plan',
    find: 'var slot = NO_SLOT;',
    replace: 'var slot = 0u;',
  },
  {
    ...many,
    shader: 'routing/histogram',
    name: 'counts a block before its counters are clear',
    ...noBarrierAfter('  for (var e = lane; e < params.numExperts; e += WG) { atomicStore(&count[e], 0u); }'),
  },
  {
    ...many,
    shader: 'routing/histogram',
    name: 'writes the counts of a block early',
    ...noBarrierAfter('    if (e < params.numExperts) { atomicAdd(&count[e], 1u); }\n  }'),
  },
  {
    ...many,
    shader: 'routing/scan',
    name: 'sums experts before their blocks are counted',
    ...noBarrierAfter('    total[e] = count;\n  }'),
  },
  { ...many, shader: 'routing/scan', name: 'reads the runs of a scan early', ...noBarrierAfter(RUNS) },
  { ...many, shader: 'routing/scan', name: 'reads the starts of a scan early', ...noBarrierAfter(STARTS) },
  {
    ...many,
    shader: 'routing/scatter',
    name: 'scatters before the starts of a block are there',
    ...noBarrierAfter('    next[e] = blockStart_BE[blockIndex * params.numExperts + e];\n  }'),
  },
  {
    ...many,
    shader: 'routing/scatter',
    name: 'does not wait for the next rows of a block',
    ...noBarrierAfter('  if (known && before + 1u == same) { next[e] += same; }'),
  },
  {
    ...many,
    shader: 'routing/scatter',
    caseName: 'route plan, dropped choices, three dispatches',
    name: 'scatters a dropped choice',
    find: 'var slot = NO_SLOT;',
    replace: 'var slot = 0u;',
  },
  {
    ...tiles,
    name: 'lists tiles before blocks are counted',
    ...noBarrierAfter('    total[e] = rowsAndTiles(count);\n  }'),
  },
  { ...tiles, name: 'reads the runs of tiles early', ...noBarrierAfter(RUNS) },
  { ...tiles, name: 'reads the starts of tiles early', ...noBarrierAfter(STARTS) },
  {
    ...plan,
    shader: 'routing/receive-plan',
    caseName: 'receive plan, 300 experts',
    name: 'scans what has not been received',
    ...noBarrierAfter('    rowCount[e] = rows;\n  }'),
  },
  {
    ...plan,
    shader: 'routing/gather-rows',
    caseName: 'gather rows, indices outside',
    name: 'gathers the row behind the last',
    find: 'if (source < params.numSource)',
    replace: 'if (source <= params.numSource)',
  },
  {
    ...topk,
    caseName: 'E = 256',
    name: 'compares candidates that are not there',
    ...noBarrierAfter('  idOfLane[lane] = id;'),
  },
  {
    ...topk,
    caseName: 'E = 256',
    name: 'overwrites a candidate before all have seen it',
    find: '  workgroupBarrier();\n  keyOfLane[lane] = key;',
    replace: '  keyOfLane[lane] = key;',
  },
  {
    ...topk,
    caseName: 'E = 256',
    name: 'compares candidates of one step before the next',
    ...noBarrierAfter('        idOfLane[lane] = idOfLane[lane + step];\n      }\n    }'),
  },
  {
    ...topk,
    caseName: '1,000 tokens',
    name: 'sums a softmax that is not there',
    ...noBarrierAfter('  sumOfLane[lane] = part;'),
  },
  {
    ...topk,
    caseName: '1,000 tokens',
    name: 'sums a softmax without waiting between steps',
    ...noBarrierAfter('    if (lane < step) { sumOfLane[lane] += sumOfLane[lane + step]; }'),
  },
  {
    ...topk,
    caseName: '16 groups by two sigmoids',
    name: 'ranks groups that are not there',
    ...noBarrierAfter(
      '  for (var g = lane; g < params.numGroups; g += WG) { worthOfGroup[g] = groupWorth(g, row); }',
    ),
  },
  {
    ...topk,
    caseName: 'a bias that ties',
    kernelKind: 'software',
    name: 'orders ties of biased scores by nothing',
    find: '(other == own && precedes(',
    replace: '(other == own && !precedes(',
  },
];

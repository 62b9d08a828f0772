/** Faults of the attention kernels whose lanes work together: masks and bounds, and barriers of workgroups of a GPU's size. */
import type { Saboteur } from './saboteur.ts';

const flash = { shader: 'attention/flash', family: 'attention', variant: 'flash' } as const;
const decode = { shader: 'attention/decode', family: 'attention', variant: 'decode' } as const;
const split = { shader: 'attention/decode', family: 'attention', variant: 'split' } as const;
/** A GPU joins parts by `merge-teams`. */
const merge = {
  ...{ shader: 'attention/merge', family: 'attention', variant: 'split' },
  kernelKind: 'software',
} as const;
const mergeTeams = {
  ...{ shader: 'attention/merge-teams', family: 'attention', variant: 'split' },
  kernelKind: 'gpu',
} as const;
const subgroup = { shader: 'attention/subgroup', family: 'attention', variant: 'subgroup' } as const;
const decodeSubgroup = {
  shader: 'attention/decode-subgroup',
  family: 'attention',
  variant: 'decode-subgroup',
} as const;

const blocked = { shader: 'attention/blocked', family: 'attention', variant: 'blocked' } as const;
const matrix = { shader: 'attention/matrix', family: 'attention', variant: 'matrix' } as const;
const decodeHeads = {
  shader: 'attention/decode-heads',
  family: 'attention',
  variant: 'decode-heads',
} as const;

export const maskSaboteurs: readonly Saboteur[] = [
  {
    ...blocked,
    name: 'takes a tile that ends early for a whole one',
    find: 'let all = first + BLOCK <= numKeysOfFirst && oldestOfLast <= first;',
    replace: 'let all = first < max(numKeysOfFirst, oldestOfLast);',
    caseName: 'grouped queries',
  },
  {
    ...matrix,
    name: 'takes a tile of matrix units that ends early for a whole one',
    find: 'let all = first + KEYS <= numKeysOfFirst && oldestOfLast <= first;',
    replace: 'let all = first < max(numKeysOfFirst, oldestOfLast);',
    caseName: 'grouped queries',
  },
  {
    ...matrix,
    name: 'weighs with first halves only',
    find: 'sums[i * REG_O + j] = subgroupMatrixMultiplyAccumulate(rest, right[j], sums[i * REG_O + j]);',
    replace: '',
    caseName: 'grouped queries',
  },
  {
    ...matrix,
    name: 'leaves sums as they are where scores grow',
    find: 'let shrinks = workgroupUniformLoad(&shrunk[0]) > 0u;',
    replace: 'let shrinks = workgroupUniformLoad(&shrunk[0]) > 1000u;',
    caseName: 'scores that grow',
  },
  {
    ...matrix,
    name: 'multiplies the future with 0 by matrix units',
    find: 'if (workgroupUniformLoad(&extremes[0]) > 0u) {',
    replace: 'if (workgroupUniformLoad(&extremes[0]) > 1000u) {',
    caseName: 'a last value that is infinite',
  },
  {
    ...decodeHeads,
    name: 'takes a key twice that a team does not have',
    find: 'let seen = first + j * TEAMS + team < numKeys;',
    replace: 'let seen = first + j * TEAMS + team <= numKeys;',
    caseName: 'decode with a cache',
  },
  {
    ...decodeHeads,
    name: 'gives all heads of a workgroup the first one’s scores',
    find: 'fma(q[n * OWN + d],',
    replace: 'fma(q[d],',
    caseName: 'decode with a cache',
  },
  {
    ...flash,
    name: 'sees the future of its tile',
    find: 'let visible = min(count, max(numKeys, first) - first);',
    replace: 'let visible = max(count, min(numKeys, first));',
    caseName: 'grouped queries',
  },
  {
    ...flash,
    name: 'sees what its tile has before the window',
    find: 'let hidden = max(oldest, first) - first;',
    replace: 'let hidden = min(oldest, first) - min(oldest, first);',
    caseName: 'sliding window',
  },
  {
    ...flash,
    name: 'ignores sinks in the running sum',
    find: 'denominator = sinkShare(sinks_H[h], highest);',
    replace: 'denominator = 0.0 * sinkShare(sinks_H[h], highest);',
    caseName: 'sinks',
  },
  {
    ...decode,
    name: 'sees the future while decoding',
    find: 'numKeys = sequence.z - sequence.y + i + 1u;',
    replace: 'numKeys = min(sequence.z, sequence.z - sequence.y + i + 2u);',
    caseName: 'last of many positions',
  },
  {
    ...decode,
    name: 'reads keys beyond the last chunk',
    find: 'let count = min(CHUNK, numKeys - first);',
    replace: 'let count = max(CHUNK, numKeys - first);',
    caseName: 'decode with a cache',
  },
  {
    ...split,
    name: 'sees a key of the next part',
    find: 'numKeys = min(numKeys, oldest + params.keysPerPart);',
    replace: 'numKeys = min(numKeys, oldest + params.keysPerPart + 1u);',
    caseName: 'many keys while decoding',
  },
  {
    ...merge,
    name: 'joins parts that were not written',
    find: 'let count = (numKeys + params.keysPerPart - 1u) / params.keysPerPart;',
    replace: 'let count = max(params.numParts, numKeys / params.keysPerPart);',
    caseName: 'parts that only some queries see',
  },
  {
    ...merge,
    name: 'leaves out the last part',
    find: 'let count = (numKeys + params.keysPerPart - 1u) / params.keysPerPart;',
    replace: 'let count = numKeys / params.keysPerPart;',
    caseName: 'many keys while decoding',
  },
  {
    ...mergeTeams,
    name: 'joins parts that were not written, in teams',
    find: 'let count = (numKeys + params.keysPerPart - 1u) / params.keysPerPart;',
    replace: 'let count = max(params.numParts, numKeys / params.keysPerPart);',
    caseName: 'parts that only some queries see',
  },
  {
    ...mergeTeams,
    name: 'leaves out the last part, in teams',
    find: 'let count = (numKeys + params.keysPerPart - 1u) / params.keysPerPart;',
    replace: 'let count = numKeys / params.keysPerPart;',
    caseName: 'many keys while decoding',
  },
  {
    ...decodeSubgroup,
    name: 'weighs a key that is not there',
    find: 'let sees = key < vec4<u32>(numKeys);',
    replace: 'let sees = key < vec4<u32>(numKeys + 1u);',
    caseName: 'decode with a cache',
  },
  {
    ...decodeSubgroup,
    name: 'multiplies what is not there with 0',
    find: 'let there = weighed < vec4<u32>(numKeys);',
    replace: 'let there = weighed < vec4<u32>(numKeys + 32u);',
    caseName: 'a last value that is infinite',
  },
  {
    ...decodeSubgroup,
    name: 'writes columns beyond a head',
    find: 'if (column + 8u < HEAD_VECS) { o_THD[rowO + column + 8u] = b / total; }',
    replace: 'o_THD[rowO + column + 8u] = b / total;',
    caseName: 'heads in slabs, one of 8',
  },
  {
    ...subgroup,
    name: 'sees the future of its block',
    find: '(key < vec4<u32>(visible)) &',
    replace: '(key <= vec4<u32>(visible)) &',
    caseName: 'grouped queries',
  },
  {
    ...subgroup,
    name: 'sees what its block has before the window',
    find: ' & (key >= vec4<u32>(firstVisible(visible)));',
    replace: ' & (key + 1u >= vec4<u32>(firstVisible(visible)));',
    caseName: 'sliding window',
  },
  {
    ...subgroup,
    name: 'multiplies the future with 0',
    find: 'for (; again != 0u; again &= again - 1u) {',
    replace: 'for (; again > 0xffff0000u; again &= again - 1u) {',
    caseName: 'a last value that is infinite',
  },
];

/** Without barriers: a workgroup of one subgroup would not notice. */
const gpu = { kernelKind: 'gpu' } as const;
const BARRIER = '    workgroupBarrier();\n';

export const barrierSaboteurs: readonly Saboteur[] = [
  ...[
    { name: 'loads a tile before the last is read', after: '    for (var at = lane;' },
    { name: 'reads a tile before it is loaded', after: '    let visible =' },
  ].map(({ name, after }) => ({
    ...{ ...flash, ...gpu, name, caseName: 'sequence 1,000' },
    ...{ find: BARRIER + after, replace: after },
  })),
  ...[
    {
      name: 'scores a chunk before the last is summed',
      after: '    for (var key = lane; key < count; key += WG) {\n',
    },
    { name: 'takes the highest before all scores are there', after: '    let previous =' },
    {
      name: 'weighs before the highest is found',
      after: '    for (var key = lane; key < count; key += WG) { weights',
    },
    { name: 'sums before all weights are there', after: '    let shrink =' },
    { name: 'joins groups of lanes before they end', after: '    if (lane < HEAD_VECS) {' },
  ].map(({ name, after }) => ({
    ...{ ...decode, ...gpu, name, caseName: 'many keys while decoding' },
    ...{ find: BARRIER + after, replace: after },
  })),
];

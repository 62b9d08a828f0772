/** Faults of the routed layer: its plans, its experts, the combine. */
import type { Saboteur } from './saboteur.ts';

const plan = { family: 'internal', variant: 'default' } as const;
const broadcast = { shader: 'experts/subgroup', family: 'moe', variant: 'subgroup-8' } as const;
const matrix = { shader: 'experts/matrix', family: 'moe', caseName: 'k = E', variant: 'matrix' } as const;
const inF16 = { ...matrix, shader: 'experts/f16', variant: 'f16' } as const;
const inInt8 = { ...matrix, shader: 'experts/int8', caseName: 'int8 weights', variant: 'int8' } as const;
const direct = { family: 'moe', caseName: 'one token', variant: 'direct' } as const;
const inLanes = { ...direct, kernelKind: 'software' } as const;
const inWorkgroups = { ...direct, kernelKind: 'gpu' } as const;

export const moeSaboteurs: readonly Saboteur[] = [
  {
    ...inF16,
    name: 'takes the powers of the gate for those of up',
    find: 'let other = largestOf(RIGHT + (along + THREADS_N) * GROUPS);',
    replace: 'let other = right;',
  },
  {
    ...inInt8,
    name: 'reads the gate for up into a tile of steps',
    find: 'if (GATED) { return fetchedW(&w3_ENK, expert, firstCol + 4u * own, at); }',
    replace: 'if (GATED) { return fetchedW(&w1_ENK, expert, firstCol + 4u * own, at); }',
  },
  {
    ...matrix,
    name: 'reads the gate for up into a tile of matrix units',
    find: 'if (row >= UP) { return stored8(&w3_ENK, near, far); }',
    replace: 'if (row >= TILE_N) { return stored8(&w3_ENK, near, far); }',
  },
  {
    ...matrix,
    name: 'takes every row of experts for an ordinary one',
    find: 'if (workgroupUniformLoad(&extremes[0]) == 0u) { break; }',
    replace: 'if (workgroupUniformLoad(&extremes[0]) < 1000u) { break; }',
    caseName: 'rows beyond f16',
  },
  {
    ...plan,
    name: 'permutes rows off by one',
    shader: 'routing/plan-small',
    find: 'rowToken_R[slot] = (first + lane) / params.topK;',
    replace: 'rowToken_R[slot] = (first + lane + 1u) / params.topK;',
    caseName: 'route plan',
  },
  {
    ...plan,
    name: 'permutes a block off by one',
    shader: 'routing/scatter',
    find: 'rowToken_R[slot] = (first + lane) / params.topK;',
    replace: 'rowToken_R[slot] = (first + lane + 1u) / params.topK;',
    caseName: 'route plan, 300 experts',
  },
  {
    ...plan,
    name: 'never moves on to the next row',
    shader: 'routing/plan-local',
    find: 'next[e] += same;',
    replace: 'next[e] += 0u;',
    caseName: 'local plan',
  },
  {
    ...plan,
    name: 'does not count a tile that is not full',
    shader: 'routing/scan-tiles',
    find: 'rows + params.tileRows - 1u',
    replace: 'rows',
    caseName: 'local plan, three dispatches',
  },
  {
    ...plan,
    name: 'never lists the last tile',
    shader: 'routing/receive-plan',
    find: 'numTiles += (count + params.tileRows - 1u) / params.tileRows;',
    replace: 'numTiles += count / params.tileRows;',
    caseName: 'receive plan, part of the experts',
  },
  {
    ...plan,
    name: "puts an owner's rows behind those of the one before",
    shader: 'routing/receive-plan',
    find: '{ row = (e / params.localExperts) * params.rowStride; }',
    replace: '{ row += 0u; }',
    caseName: 'receive plan, owners that share a list',
  },
  {
    name: 'lists tiles without their last row',
    shader: 'routing/plan-local',
    find: 'min(first + params.tileRows, end), 0u);',
    replace: 'min(first + params.tileRows, end) - 1u, 0u);',
    ...{ family: 'moe', caseName: 'primes', variant: 'plain' },
  },
  {
    name: 'multiplies with the next expert',
    shader: 'experts/plain',
    find: 'let rowW = tile.x * params.numCols + n;',
    replace: 'let rowW = (tile.x ^ 1u) * params.numCols + n;',
    ...{ family: 'moe', caseName: 'all biases', variant: 'plain' },
  },
  {
    name: 'forgets the bias',
    shader: 'experts/plain',
    find: 'epilogue(gate + biasGate, up + biasUp)',
    replace: 'epilogue(gate + 0.0 * biasGate, up + biasUp)',
    ...{ family: 'moe', caseName: 'all biases', variant: 'plain' },
  },
  {
    name: 'ignores the scores',
    shader: 'routing/combine',
    find: 'scores_TK[t * params.topK + k] * expertOut_RD',
    replace: 'min(scores_TK[t * params.topK + k], 0.5) * expertOut_RD',
    ...{ family: 'moe', caseName: 'primes', variant: 'plain' },
  },
  {
    ...broadcast,
    name: 'reads the rows of x in their own order',
    find: 'if (GATHER) { return rowSource[r]; }',
    replace: 'if (GATHER) { return r; }',
    caseName: 'an empty expert',
  },
  {
    ...broadcast,
    name: 'leaves out the last row of an expert',
    find: 'i < tile.z - tile.y',
    replace: 'i + 1u < tile.z - tile.y',
    caseName: 'an empty expert',
  },
  {
    ...broadcast,
    name: "takes the neighbour block's scales",
    find: 'let at = index + vec4<u32>(params.scaleStart);',
    replace: 'let at = (index ^ vec4<u32>(1u)) + vec4<u32>(params.scaleStart);',
    caseName: 'int4 weights',
  },
  {
    name: 'reads the first row of a tile for the second',
    shader: 'experts/few',
    find: 'sourceOf(min(tile.y + 1u, last))',
    replace: 'sourceOf(min(tile.y, last))',
    ...{ family: 'moe', caseName: 'an empty expert', variant: 'few' },
  },
  {
    name: 'leaves out the sums of every other pair of lanes',
    shader: 'experts/few',
    find: 'sums += subgroupShuffleXor(sums, 2u);',
    replace: 'sums += 0.0 * subgroupShuffleXor(sums, 2u);',
    ...{ family: 'moe', caseName: 'an empty expert', variant: 'few' },
  },
  {
    name: 'takes the row of x in place of its source',
    shader: 'experts/vector',
    find: 'source = sourceOf(row);',
    replace: 'source = row;',
    ...{ family: 'moe', caseName: 'an empty expert', variant: 'vector' },
  },
  {
    ...inLanes,
    name: 'swaps the experts of two choices',
    shader: 'experts/vector',
    find: 'var expert = tiles[group.y];',
    replace: 'var expert = tiles[group.y ^ 1u];',
  },
  {
    ...inLanes,
    name: 'forgets a choice',
    shader: 'experts/down-combine-vector',
    find: 'choice < (t + 1u) * params.topK',
    replace: 'choice + 1u < (t + 1u) * params.topK',
  },
  {
    ...inWorkgroups,
    name: 'swaps the experts of two choices, a workgroup each',
    shader: 'experts/row',
    find: 'var expert = tiles[group.y];',
    replace: 'var expert = tiles[group.y ^ 1u];',
  },
  {
    ...inWorkgroups,
    name: 'forgets a choice, a workgroup per column',
    shader: 'experts/down-combine',
    find: 'choice < (t + 1u) * params.topK',
    replace: 'choice + 1u < (t + 1u) * params.topK',
  },
];

/** Faults of the dense GEMM, of unpacking its weights, and of what is done row by row. */
import type { Saboteur } from './saboteur.ts';

const gemm = {
  shader: 'gemm/plain',
  family: 'matmul',
  caseName: 'primes',
  variant: 'plain',
} as const;
const broadcast = { shader: 'gemm/subgroup', family: 'matmul', variant: 'subgroup-8' } as const;
const vector = { shader: 'gemm/vector', family: 'matmul', variant: 'vector' } as const;
const matrix = {
  shader: 'gemm/matrix',
  family: 'matmul',
  caseName: 'primes in fours',
  variant: 'matrix',
} as const;
const int8 = {
  shader: 'gemm/int8',
  family: 'matmul',
  caseName: 'int8, primes in fours',
  variant: 'int8',
} as const;
const storeGemm = 'c_MN[m * params.numCols + n] = total;';

export const denseSaboteurs: readonly Saboteur[] = [
  {
    ...gemm,
    name: 'writes nothing',
    find: storeGemm,
    replace: 'if (params.numCols == 0u) { c_MN[0] = total; }',
  },
  {
    ...gemm,
    name: 'writes NaN',
    find: storeGemm,
    replace: 'c_MN[m * params.numCols + n] = bitcast<f32>(params.numCols | 0x7fc00000u);',
  },
  {
    ...gemm,
    name: 'keeps what an earlier run wrote',
    find: storeGemm,
    replace: 'if (c_MN[m * params.numCols + n] == 0.0) { c_MN[m * params.numCols + n] = total; }',
  },
  {
    ...gemm,
    name: 'takes the halves of a word of bf16 for each other',
    find: 'vec2<u32>(word << 16u, word & 0xffff0000u)',
    replace: 'vec2<u32>(word & 0xffff0000u, word << 16u)',
    caseName: 'bf16 weights',
  },
  { ...gemm, name: 'leaves out the last term', find: 'k < params.depth', replace: 'k + 1u < params.depth' },
  {
    ...gemm,
    name: 'leaves out the last column',
    find: 'n >= params.numCols',
    replace: 'n + 1u >= params.numCols',
  },
  {
    ...broadcast,
    name: 'leaves out the last row of a tile',
    find: 'i < min(ROWS, params.numRows - m)',
    replace: 'i + 1u < min(ROWS, params.numRows - m)',
    caseName: 'K = 1,000',
  },
  {
    ...broadcast,
    name: 'swaps the nibbles of a byte',
    find: 'vec4<u32>(0u, 4u, 8u, 12u)',
    replace: 'vec4<u32>(4u, 0u, 12u, 8u)',
    caseName: 'int4, primes',
  },
  {
    ...broadcast,
    name: 'takes the scales of the first block for all',
    find: 'scales4(&b_NK, &b_NK, (rowB + first) / 8u)',
    replace: 'scales4(&b_NK, &b_NK, (rowB + 0u * first) / 8u)',
    caseName: 'int4, primes',
  },
  {
    ...vector,
    name: 'leaves out the last chunk of a row',
    find: 'return select(0.0, scaled, held);',
    replace: 'return select(0.0, scaled, held && chunk + 1u < chunks);',
    caseName: 'one row',
  },
  {
    ...vector,
    name: 'takes the scale of the next block',
    find: 'scaled = sum * scale(weights, at);',
    replace: 'scaled = sum * scale(weights, at + 1u);',
    caseName: 'int4, one row',
  },
  {
    ...matrix,
    name: 'multiplies first halves only',
    find: 'subgroupMatrixMultiplyAccumulate(rest, right[j], sums[i * REG_N + j])',
    replace: 'sums[i * REG_N + j]',
  },
  {
    ...matrix,
    name: 'takes every row of a matrix product for an ordinary one',
    find: 'if (workgroupUniformLoad(&extremes[0]) == 0u) { break; }',
    replace: 'if (workgroupUniformLoad(&extremes[0]) < 1000u) { break; }',
    caseName: 'rows of many magnitudes',
  },
  {
    ...matrix,
    name: 'puts what lies beyond a row into a tile',
    find: 'let farInside = first + k + 1u < depth4;',
    replace: 'let farInside = nearInside;',
    caseName: 'f16 weights',
  },
  {
    ...int8,
    name: 'rounds by the largest value of a part of its row',
    find: 'for (var i = 0u; i < WORDS; i += 1u) { most = max(most, parts[row * WORDS + i]); }',
    replace: 'most = parts[row * WORDS];',
  },
  {
    ...int8,
    name: 'multiplies the last word of a row again',
    find: 'let inside = vec4<bool>(first + k < words);',
    replace: 'let inside = vec4<bool>(first < words);',
  },
  {
    ...{ ...int8, shader: 'gemm/f16', variant: 'f16' },
    name: 'multiplies the last group of a row in f16 again',
    find: 'let inside = vec4<bool>(first + k < depth4);',
    replace: 'let inside = vec4<bool>(first < depth4);',
  },
  {
    name: 'turns the wrong way',
    shader: 'attention/rope',
    find: 'a * turn.x - b * turn.y',
    replace: 'a * turn.x + b * turn.y',
    ...{ family: 'rope', caseName: 'halves', variant: 'default' },
  },
  {
    name: 'divides by one column too many',
    shader: 'norm/rms-norm',
    find: 'partial[0] / f32(params.width)',
    replace: 'partial[0] / f32(params.width + 1u)',
    ...{ family: 'rms-norm', caseName: 'primes', variant: 'default' },
  },
];

/** Faults of the dense kernels: products, norms, rotary positions, adding, and how weights lie on the device. */
import { faultsIn, type Mutant } from '../mutant.ts';
import { AS_ON_A_GPU } from './kinds.ts';

const norm = (only: string) => ({
  tests: ['kernels/dense/rms-norm.shared.test.ts'],
  only: `^rms-norm ${only}`,
});
const rope = (only: string) => ({ tests: ['kernels/attention/rope.shared.test.ts'], only: `^rope ${only}` });
const matmul = (only: string) => ({
  tests: ['kernels/dense/matmul.shared.test.ts'],
  only: `^matmul ${only}`,
});
const internal = (only: string) => ({
  tests: ['kernels/routing/internal.shared.test.ts'],
  only: `^internal ${only}`,
});

export const denseFaults: readonly Mutant[] = [
  ...faultsIn('shaders/norm/rms-norm.wgsl', norm('(primes|residual|eps|more rows)'), [
    {
      find: 'var total = partial[0] / f32(params.width) + params.eps;',
      replace: 'var total = partial[0] / f32(params.width);',
      why: 'eps is not added',
    },
    {
      find: 'residual_TD[(t + params.residualRow) * params.width + d]',
      replace: 'residual_TD[(t + params.residualRow) * params.width]',
      why: 'every column gets the residual of the first',
    },
  ]),
  ...faultsIn('shaders/norm/rms-norm.wgsl', { ...norm('primes'), ...AS_ON_A_GPU }, [
    {
      find: 'partial[lane] = squares;\n  workgroupBarrier();',
      replace: 'partial[lane] = squares;',
      why: 'the tree of sums does not wait for the sums of lanes',
    },
    {
      find: 'partial[lane + step]; }\n    workgroupBarrier();',
      replace: 'partial[lane + step]; }',
      why: 'the tree of sums does not wait between its levels',
    },
    {
      find: 'var step = WG / 2u; step > 0u;',
      replace: 'var step = WG / 2u; step > 1u;',
      why: 'the tree of sums stops a level early',
    },
  ]),
  ...faultsIn(
    'shaders/norm/rms-norm-rows.wgsl',
    norm('(primes|residual|more rows|width 1,000|one element|f16)'),
    [
      {
        find: 'storeScaled(rows.w, d, weight, n3);',
        replace: 'storeScaled(rows.w, d, weight, n2);',
        why: 'the fourth row has the scale of the third',
      },
      {
        find: 'if (RESIDUAL) { sum_TD[row * (params.width / 4u) + d] = v; }',
        replace: '',
        why: 'the sum with the residual is not stored',
      },
    ],
  ),
  ...faultsIn('shaders/norm/rms-norm.wgsl', { tests: ['kernels/many-rows.test.ts'] }, [
    {
      find: 'let t = group.y * groups.x + group.x;',
      replace: 'let t = group.x;',
      why: 'rows beyond one dimension of the grid are left out',
    },
  ]),
  ...faultsIn('shaders/norm/rms-norm-held.wgsl', norm('(residual|width 2,052|outliers)'), [
    {
      find: 'let v = select(vec4<f32>(), held[i], lane + i * WG < vecs);',
      replace: 'let v = held[i];',
      why: 'the last columns of a row are summed by all lanes that have none',
    },
    {
      find: 'for (var i = 0u; i < SIDE; i += 1u) { sums += ofSide[i]; }',
      replace: 'for (var i = 1u; i < SIDE; i += 1u) { sums += ofSide[i]; }',
      why: 'the first lanes of each side are left out',
    },
  ]),
  ...faultsIn('shaders/norm/rms-norm-rows.wgsl', { tests: ['kernels/many-rows.test.ts'] }, [
    {
      find: 'let t = 4u * (group.y * groups.x + group.x);',
      replace: 'let t = 4u * (group.y + group.x);',
      why: 'rows beyond one dimension of the grid are those of its beginning',
    },
  ]),
  ...faultsIn('shaders/attention/rope-rows.wgsl', { tests: ['kernels/many-rows.test.ts'] }, [
    {
      find: 'let index = (group.y * groups.x + group.x) * WG + lane;',
      replace: 'let index = group.x * WG + lane;',
      why: 'threads beyond one dimension of the grid turn nothing',
    },
  ]),
  ...faultsIn('shaders/routing/combine.wgsl', { tests: ['kernels/many-rows.test.ts'] }, [
    {
      find: 'let t = group.y * groups.x + group.x;',
      replace: 'let t = group.y * 65535u + group.x;',
      why: 'tokens beyond one dimension of the grid are counted by its limit, not by its width',
    },
  ]),
  ...faultsIn(
    'src/kernels/dense/rms-norm.ts',
    {
      tests: ['kernels/dense/rms-norm.shared.test.ts', 'runtime/engine.test.ts'],
      only: '(^rms-norm eps|odd shapes ep=1,pp=1)',
    },
    [
      {
        find: 'residualRow, eps: shape.eps }',
        replace: 'residualRow, eps: 0 }',
        why: 'norms run with an eps of 0',
      },
    ],
  ),
  ...faultsIn('src/kernels/dense/rms-norm.ts', norm('(primes|width)'), [
    {
      find: 'spread(ceilDiv(p.numRows, 4))',
      replace: 'spread(Math.floor(p.numRows / 4))',
      why: 'rows that are no four are left out',
    },
  ]),
  ...faultsIn('shaders/attention/rope.wgsl', rope('(halves|interleaved|far offset|sequence)'), [
    {
      find: 'select(i + half, 2u * i + 1u, INTERLEAVED)',
      replace: 'select(i + half, 2u * i, INTERLEAVED)',
      why: 'interleaved pairs are an element with itself',
    },
    {
      find: 'y_THD[to + second] = b * turn.x + a * turn.y;',
      replace: 'y_THD[to + second] = b * turn.x - a * turn.y;',
      why: 'the second of a pair turns back',
    },
    {
      find: 'table_PI[position_T[t] * half + i]',
      replace: 'table_PI[t * half + i]',
      why: 'rows turn by their number, not by their position',
    },
  ]),
  ...faultsIn('shaders/attention/rope-rows.wgsl', rope('(sequence|far offset|one grid)'), [
    {
      find: 'let at = (position_T[t] * eighths + i) * 2u;',
      replace: 'let at = (position_T[t] * eighths + i) * 2u + 1u;',
      why: 'angles are those of the next two pairs',
    },
    {
      find: 'if (index >= params.numRows * eighths) { return; }',
      replace: 'if (index + 1u >= params.numRows * eighths) { return; }',
      why: 'the last four pairs do not turn',
    },
  ]),
  ...faultsIn('src/kernels/attention/rope.ts', { tests: ['kernels/grids.test.ts'] }, [
    {
      find: 'spread(ceilDiv((p.numRows * p.headDim) / 8, s.WG))',
      replace: '[ceilDiv((p.numRows * p.headDim) / 8, s.WG), 1, 1]',
      why: 'rope by rows has one dimension of the grid only',
    },
    {
      find: 'return spread(ceilDiv(pairs / s.PAIRS, s.WG));',
      replace: 'return [ceilDiv(pairs / s.PAIRS, s.WG), 1, 1];',
      why: 'the append to the cache has one dimension of the grid only',
    },
  ]),
  ...faultsIn('src/kernels/attention/rope.ts', rope('far offset'), [
    {
      find: '(firstPosition + p) * frequency',
      replace: 'p * frequency',
      why: 'the offset of positions is ignored',
    },
  ]),
  ...faultsIn('src/kernels/variants.ts', { tests: ['kernels/grids.test.ts'] }, [
    {
      find: 'if (n <= 65535) return',
      replace: 'if (n <= 65536) return',
      why: 'a grid of 65,536 workgroups is not spread',
    },
    {
      find: 'return [Math.ceil(n / y), y, 1];',
      replace: 'return [Math.floor(n / y), y, 1];',
      why: 'a spread grid lacks its last workgroups',
    },
    {
      find: 'while (size < n) size *= 2;',
      replace: 'while (size * 2 < n) size *= 2;',
      why: 'room for experts is half of what is needed',
    },
  ]),
  ...faultsIn('shaders/attention/rope-append.wgsl', internal('append'), [
    {
      find: 'let to = (place.y * params.numKvHeads + h - params.numHeads) * params.headDim + i;',
      replace: 'let to = (place.x * params.numKvHeads + h - params.numHeads) * params.headDim + i;',
      why: 'keys lie at their position, not at their row of the cache',
    },
    {
      find: 'storeV(to + half, b);',
      replace: 'storeV(to + half, high);',
      why: 'half of every value turns as a key does',
    },
  ]),
  ...faultsIn('shaders/attention/rope-append.wgsl', { tests: ['runtime/cache-f16.test.ts'] }, [
    {
      find: 'kCache[to / 2u] = pack2x16float(x);',
      replace: 'kCache[to / 2u] = pack2x16float(x.yx);',
      why: 'two keys in f16 change places',
    },
  ]),
  ...faultsIn('shaders/gemm/plain.wgsl', matmul('(primes|one row|f16 weights|int8, primes|mxfp4, primes)$'), [
    {
      find: 'n >= params.numCols) { return; }',
      replace: 'n > params.numCols) { return; }',
      why: 'a column past the last is written',
    },
    {
      find: '<< (24u - 8u * (index & 3u))',
      replace: '<< (24u - 8u * (index & 1u))',
      why: 'only the first two bytes of a word are read',
    },
    { find: 'select(half, -half, bits >= 8u)', replace: 'half', why: 'MXFP4 has no sign' },
    { find: '[index & 1u]; }', replace: '[0u]; }', why: 'halves at odd places are their neighbours' },
  ]),
  ...faultsIn(
    'shaders/gemm/tiled.wgsl',
    {
      tests: ['kernels/dense/matmul.shared.test.ts', 'kernels/absent.test.ts'],
      only: '(^matmul (primes|one row|multiples of the tiles)$|infinite row)',
    },
    [
      {
        find: 'if (col < params.numCols && k < params.depth) { value = weight',
        replace: 'if (col < params.numCols) { value = weight',
        why: 'a tile past the depth is not zero in b',
      },
      {
        find: 'const STRIDE : u32 = TILE_K + 1u;',
        replace: 'const STRIDE : u32 = TILE_K - 1u;',
        why: 'rows of a tile overlap',
      },
    ],
  ),
  ...faultsIn('shaders/gemm/tiled.wgsl', { ...matmul('(primes|multiples of the tiles)$'), ...AS_ON_A_GPU }, [
    {
      find: 'tileB[(i / TILE_K) * STRIDE + i % TILE_K] = value;\n    }\n    workgroupBarrier();',
      replace: 'tileB[(i / TILE_K) * STRIDE + i % TILE_K] = value;\n    }',
      why: 'a tile is read before it has been loaded',
    },
    {
      find: '    }\n    workgroupBarrier();\n  }\n  for (var i = 0u; i < REG_M',
      replace: '    }\n  }\n  for (var i = 0u; i < REG_M',
      why: 'a tile is overwritten while others read it',
    },
  ]),
  ...faultsIn('shaders/gemm/row.wgsl', { ...matmul('(one row|deep|int8, one row)'), ...AS_ON_A_GPU }, [
    {
      find: 'high[i];\n  }\n  workgroupBarrier();',
      replace: 'high[i];\n  }',
      why: 'sums of lanes are joined before they are there',
    },
    {
      find: 'for (var i = 0u; i < 8u; i += 1u) { sum += partial[first + i]; }',
      replace: 'for (var i = 0u; i < 7u; i += 1u) { sum += partial[first + i]; }',
      why: 'the last lane of eight is left out',
    },
    {
      find: 'insideDot(&b_NK, x, min(n + 7u, last), c, chunks));',
      replace: 'insideDot(&b_NK, x, min(n + 6u, last), c, chunks));',
      why: 'the eighth column is the seventh',
    },
  ]),
  ...faultsIn('shaders/elementwise/add.wgsl', internal('add$'), [
    {
      find: 'if (i < params.count)',
      replace: 'if (i + 1u < params.count)',
      why: 'the last element is not added',
    },
  ]),
  ...faultsIn('src/tensor/weight-bytes.ts', { tests: ['kernels/dense/weights.shared.test.ts'] }, [
    {
      find: 'scalesAt: roundUp(bytes, VIEW_ALIGNMENT),',
      replace: 'scalesAt: roundUp(bytes, 4),',
      why: 'scales begin where no view can',
    },
    {
      find: 'scalesBytes: 4 * scaleCount',
      replace: 'scalesBytes: 2 * scaleCount',
      why: 'scales have room for half of them',
    },
  ]),
  ...faultsIn('src/tensor/quantise.ts', { tests: ['tensor/quantise.test.ts'] }, [
    { find: 'largest / 127);', replace: 'largest / 128);', why: 'the largest of a row in int8 becomes 128' },
  ]),
];

/**
 * A GEMM of one's own beside those of the family `matmul`:
 *
 *   npx moebius validate --with bench/examples/gemm.ts
 *   npx moebius bench --with bench/examples/gemm.ts
 */
import { defineVariant } from 'moebius/kernels';

export const variants = defineVariant({
  family: 'matmul',
  name: 'textbook',
  idea: 'square tiles in workgroup storage, an output per thread',
  shader: './gemm.wgsl',
  // A barrier of a CPU adapter switches between all threads of a workgroup.
  spec: (_shape, gpu) => ({ TILE: gpu.kernelsFor === 'gpu' ? 16 : 8 }),
  grid: ({ TILE }, { numRows, numCols }) => [Math.ceil(numCols / TILE), Math.ceil(numRows / TILE), 1],
  refusal: ({ weightDtype }) => (weightDtype === 'f32' ? undefined : `it reads f32, not ${weightDtype}`),
});

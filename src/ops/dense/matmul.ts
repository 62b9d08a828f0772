/** c = a b^T: M rows, N outputs, K inputs. b lies as weights are stored, rows are outputs. */
import { ConfigError } from '../../core/errors.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { gemmVariants, prepareGemm, type GemmShape } from '../../kernels/dense/gemm.ts';
import { ableVariants } from '../../kernels/variants.ts';
import { matmul as referenceMatmul, matmulMagnitude } from '../../reference/matmul.ts';
import { leavesRange, magnitudesOf } from '../../kernels/scale-range.ts';
import { weightDtypeOf } from '../../kernels/weights.ts';
import { BYTES_OF, toF32, toF64 } from '../../tensor/tensor.ts';
import { roundsTo } from '../../kernels/own-budget.ts';
import { ofRounding } from './rounded-operands.ts';
import { roundedTo } from '../budgets.ts';
import { gamma } from '../../tensor/compare.ts';
import { defineOp } from '../define.ts';
import { scaleRoundings, STORED_FLOATS, weightOf, weightValues } from '../quantised-inputs.ts';
import { requirePositive, sizeOf } from '../shapes.ts';
import { rowRuns } from '../row-runs.ts';
import { bytesOfInputs, outputDtype, rowView, tensorOf, withBuffers } from '../op-buffers.ts';

const FLOATS = ['f32', 'f16'] as const;

export const matmul = defineOp({
  name: 'matmul',
  about: 'c = a b^T, with b as weights are stored: rows are outputs',
  inputs: [
    { name: 'a', dims: '[M, K]', dtypes: FLOATS, about: 'rows of activations' },
    {
      ...{ name: 'b', dims: '[N, K]', dtypes: STORED_FLOATS, quantised: true },
      about: 'weights, a row per output',
    },
  ],
  outputs: [{ name: 'c', dims: '[M, N]', dtypes: FLOATS, about: 'the product' }],
  attrs: [],
  registry: 'matmul',
  variants: gemmVariants,
  size: (inputs, dims): GemmShape => {
    requirePositive('matmul', dims, ['N', 'K']);
    const [numRows, numCols, depth] = [sizeOf(dims, 'M'), sizeOf(dims, 'N'), sizeOf(dims, 'K')];
    return { numRows, numCols, depth, weightDtype: weightDtypeOf(weightOf(inputs, 'b')) };
  },
  able: (gpu, shape) => ableVariants('matmul', gemmVariants, shape, gpu),
  prepare: (gpu, inputs, shape, variant) =>
    withBuffers(gpu, async (space) => {
      const { numRows, numCols, depth } = shape;
      checkColumns('matmul', gpu, numCols);
      const wide = leavesRange(weightOf(inputs, 'b'), magnitudesOf(toF32(tensorOf(inputs, 'a'))));
      const gemm = await prepareGemm(gpu, { ...shape, ...(wide && { wide }) }, variant);
      const a = space.activation('a', tensorOf(inputs, 'a'), 'parts');
      const b = space.matrix('b', weightOf(inputs, 'b'));
      const c = space.output('c', [numRows, numCols], outputDtype(inputs), 'parts');
      const mostRows = gpu.limits.maxComputeWorkgroupsPerDimension;
      const runs = rowRuns(gpu, numRows, 2 * numCols * depth, mostRows, [numCols, depth]);
      return space.prepared(gemm.variant, (commands) => {
        for (const rows of runs) {
          gemm.record(commands, rows.count, {
            a: rowView(a, rows, depth),
            b,
            c: rowView(c, rows, numCols),
          });
        }
      });
    }),
  *reference(inputs, { numRows, numCols, depth, weightDtype }, _got, variant) {
    const [a, b] = [toF64(tensorOf(inputs, 'a')), weightValues(inputs, 'b')];
    const size = { m: numRows, n: numCols, k: depth };
    const values = yield* referenceMatmul.pieces(a, b, size);
    const roundings = depth + scaleRoundings(weightDtype);
    const magnitude = yield* matmulMagnitude.pieces(a, b, size);
    const to = roundsTo('matmul', variant);
    const rounded = to && ofRounding(to, { a, b, size, weightDtype, magnitude });
    const errors = magnitude.map((terms, i) => gamma(roundings) * terms + (rounded?.[i] ?? 0));
    const budget = roundedTo(outputDtype(inputs), errors, values);
    return new Map([['c', { values, shape: [numRows, numCols], budget }]]);
  },
  cost: (inputs, { numRows, numCols, depth }) => ({
    flops: 2 * numRows * numCols * depth,
    bytes: bytesOfInputs(inputs) + numRows * numCols * BYTES_OF[outputDtype(inputs)],
  }),
});

/** The narrowest variant has 8 columns per workgroup. @throws ConfigError when the grid would not hold them. */
export function checkColumns(op: string, gpu: Gpu, numCols: number): void {
  const most = 8 * gpu.limits.maxComputeWorkgroupsPerDimension;
  if (numCols > most) {
    throw new ConfigError(
      `${op}: ${numCols} output columns are more than the ${most} that a grid of ${gpu.facts.name} holds. Split the weights.`,
    );
  }
}

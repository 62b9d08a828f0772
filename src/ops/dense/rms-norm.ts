/** Root-mean-square normalisation of rows, with the residual connection in front. T rows, D width. */
import { prepareRmsNorm, rmsNormVariants } from '../../kernels/dense/rms-norm.ts';
import { ableVariants } from '../../kernels/variants.ts';
import { rmsNorm as referenceRmsNorm } from '../../reference/norm.ts';
import { BYTES_OF, toF64 } from '../../tensor/tensor.ts';
import { numberAttr } from '../attrs.ts';
import { budgetOf, DIVISION, SQUARE_ROOT } from '../budgets.ts';
import { defineOp } from '../define.ts';
import type { Expected } from '../op.ts';
import { requirePositive, sizeOf } from '../shapes.ts';
import { rowRuns } from '../row-runs.ts';
import { bytesOfInputs, outputDtype, rowView, tensorOf, withBuffers } from '../op-buffers.ts';

const FLOATS = ['f32', 'f16'] as const;

interface Size {
  readonly numRows: number;
  readonly width: number;
  readonly eps: number;
  readonly residual: boolean;
}

export const rmsNorm = defineOp({
  name: 'rms-norm',
  about: 'y = weight s / sqrt(mean(s^2) + eps), s = x + residual',
  inputs: [
    { name: 'x', dims: '[T, D]', dtypes: FLOATS, about: 'rows' },
    { name: 'weight', dims: '[D]', dtypes: FLOATS, about: 'scale of each column' },
    { name: 'residual', dims: '[T, D]', dtypes: FLOATS, optional: true, about: 'added to x first' },
  ],
  outputs: [
    { name: 'y', dims: '[T, D]', dtypes: FLOATS, about: 'normalised rows' },
    { name: 'sum', dims: '[T, D]', dtypes: FLOATS, optional: true, about: 'x + residual, when there is one' },
  ],
  attrs: [
    { name: 'eps', kind: 'number', default: 1e-5, min: 0, max: 1e30, about: 'added to the mean of squares' },
  ],
  registry: 'rms-norm',
  variants: rmsNormVariants,
  size: (inputs, dims): Size => {
    requirePositive('rms-norm', dims, ['D']);
    const [numRows, width] = [sizeOf(dims, 'T'), sizeOf(dims, 'D')];
    return { numRows, width, eps: numberAttr(inputs, 'eps'), residual: inputs.tensors.has('residual') };
  },
  able: (gpu, size) => ableVariants('rms-norm', rmsNormVariants, size, gpu),
  prepare: (gpu, inputs, size, variant) =>
    withBuffers(gpu, async (space) => {
      const { numRows, width } = size;
      const kernel = await prepareRmsNorm(gpu, size, variant);
      const x = space.activation('x', tensorOf(inputs, 'x'), 'parts');
      const weight = space.activation('weight', tensorOf(inputs, 'weight'));
      const added = inputs.tensors.get('residual');
      const residual = added && space.activation('residual', added, 'parts');
      const y = space.output('y', [numRows, width], outputDtype(inputs), 'parts');
      const sum = residual
        ? space.output('sum', [numRows, width], outputDtype(inputs), 'parts')
        : space.scratch('no sum', 1);
      const runs = rowRuns(gpu, numRows, 4 * width, Infinity, [width]);
      return space.prepared(kernel.variant, (commands) => {
        for (const rows of runs) {
          kernel.record(
            commands,
            { numRows: rows.count },
            {
              x: rowView(x, rows, width),
              ...(residual && { residual: rowView(residual, rows, width) }),
              weight,
              y: rowView(y, rows, width),
              sum: residual ? rowView(sum, rows, width) : sum,
            },
          );
        }
      });
    }),
  *reference(inputs, { numRows, width, eps }) {
    const added = inputs.tensors.get('residual');
    const { y_TD, sum_TD } = yield* referenceRmsNorm.pieces({
      x_TD: toF64(tensorOf(inputs, 'x')),
      weight_D: toF64(tensorOf(inputs, 'weight')),
      ...(added && { residual_TD: toF64(added) }),
      eps,
    });
    // All squares are positive: their sum is off by D roundings, the square root halves that. Then two products.
    const roundings = (width + 4 + DIVISION) / 2 + SQUARE_ROOT + DIVISION + 3;
    const shape = [numRows, width];
    const dtype = outputDtype(inputs);
    const expected = new Map<string, Expected>();
    expected.set('y', { values: y_TD, shape, budget: budgetOf(y_TD, roundings, dtype) });
    if (added) expected.set('sum', { values: sum_TD, shape, budget: budgetOf(sum_TD, 1, dtype) });
    return expected;
  },
  cost: (inputs, { numRows, width, residual }) => {
    const written = numRows * width * (residual ? 2 : 1) * BYTES_OF[outputDtype(inputs)];
    return { flops: numRows * width * (residual ? 5 : 4), bytes: bytesOfInputs(inputs) + written };
  },
});

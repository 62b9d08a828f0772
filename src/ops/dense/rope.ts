/** Rotary positions. B sequences, S positions, H heads of Dh. */
import type { Pieces } from '../../core/async/pieces.ts';
import { ConfigError } from '../../core/errors.ts';
import { prepareRope, ropeTable, ropeVariants } from '../../kernels/attention/rope.ts';
import { ableVariants } from '../../kernels/variants.ts';
import { rope as referenceRope } from '../../reference/rope.ts';
import { BYTES_OF, toF64 } from '../../tensor/tensor.ts';
import { flagAttr, numberAttr } from '../attrs.ts';
import { budgetOf } from '../budgets.ts';
import { defineOp } from '../define.ts';
import { requirePositive, sizeOf } from '../shapes.ts';
import { rowRuns } from '../row-runs.ts';
import { bytesOfInputs, outputDtype, rowView, tensorOf, withBuffers } from '../op-buffers.ts';

const FLOATS = ['f32', 'f16'] as const;

interface Size {
  readonly batch: number;
  readonly length: number;
  readonly numHeads: number;
  readonly headDim: number;
  readonly theta: number;
  readonly offset: number;
  readonly interleaved: boolean;
}

export const rope = defineOp({
  name: 'rope',
  about: 'turns pairs of a head by position * theta^(-2i / Dh)',
  inputs: [{ name: 'x', dims: '[B, S, H, Dh]', dtypes: FLOATS, about: 'heads by position' }],
  outputs: [{ name: 'y', dims: '[B, S, H, Dh]', dtypes: FLOATS, about: 'turned heads' }],
  attrs: [
    { name: 'theta', kind: 'number', default: 10000, min: 1, onHost: true, about: 'base of the frequencies' },
    {
      name: 'offset',
      kind: 'integer',
      default: 0,
      min: 0,
      max: 2 ** 31,
      about: 'position of the first element of S',
    },
    {
      name: 'interleaved',
      kind: 'flag',
      default: false,
      about: '0 pairs i with i + Dh/2, as Hugging Face does; 1 pairs 2i with 2i + 1',
    },
  ],
  registry: 'rope',
  variants: ropeVariants,
  size: (inputs, dims): Size => {
    requirePositive('rope', dims, ['H', 'Dh']);
    const headDim = sizeOf(dims, 'Dh');
    checkEven('rope', headDim);
    return {
      batch: sizeOf(dims, 'B'),
      length: sizeOf(dims, 'S'),
      numHeads: sizeOf(dims, 'H'),
      headDim,
      theta: numberAttr(inputs, 'theta'),
      offset: numberAttr(inputs, 'offset'),
      interleaved: flagAttr(inputs, 'interleaved'),
    };
  },
  able: (gpu, size) => ableVariants('rope', ropeVariants, size, gpu),
  prepare: (gpu, inputs, size, variant) =>
    withBuffers(gpu, async (space) => {
      const { batch, length, numHeads, headDim, theta, offset } = size;
      const width = numHeads * headDim;
      const kernel = await prepareRope(gpu, size, variant);
      const x = space.activation('x', tensorOf(inputs, 'x'), 'parts');
      const y = space.output('y', tensorOf(inputs, 'x').shape, outputDtype(inputs), 'parts');
      const table = space.activation('table', {
        dtype: 'f32',
        shape: [length * headDim],
        data: ropeTable(length, headDim, theta, offset),
      });
      const places = Uint32Array.from({ length: batch * length }, (_, i) => i % length);
      const position = space.integers('position', places);
      const runs = rowRuns(gpu, batch * length, 3 * width, Infinity, [width, 1]);
      return space.prepared(kernel.variant, (commands) => {
        for (const rows of runs) {
          kernel.record(
            commands,
            { numRows: rows.count, numHeads, xStride: width, xStart: 0 },
            {
              x: rowView(x, rows, width),
              table,
              position: rowView(position, rows, 1),
              y: rowView(y, rows, width),
            },
          );
        }
      });
    }),
  *reference(inputs, size) {
    const x = toF64(tensorOf(inputs, 'x'));
    const turned = yield* turn(x, size);
    // Of a pair, each product is at most the pair's length: two roundings of the table, products, and a sum.
    const magnitude = x.map((_, i) => pairLength(x, i, size));
    const budget = budgetOf(magnitude, 2 * 3, outputDtype(inputs), turned);
    return new Map([['y', { values: turned, shape: tensorOf(inputs, 'x').shape, budget }]]);
  },
  cost: (inputs, size) => {
    const count = size.batch * size.length * size.numHeads * size.headDim;
    return { flops: 3 * count, bytes: bytesOfInputs(inputs) + count * BYTES_OF[outputDtype(inputs)] };
  },
});

function turn(x: Float64Array, size: Size): Pieces<Float64Array> {
  const { batch, length, numHeads, headDim, theta, offset, interleaved } = size;
  const positions = Float64Array.from({ length: batch * length }, (_, i) => offset + (i % length));
  return referenceRope.pieces({
    x,
    numHeads,
    headDim,
    positions,
    theta,
    style: interleaved ? 'interleaved' : 'halves',
  });
}

function pairLength(x: Float64Array, index: number, { headDim, interleaved }: Size): number {
  const start = index - (index % headDim);
  const place = index - start;
  const half = headDim / 2;
  const partner = start + (interleaved ? place ^ 1 : (place + half) % headDim);
  return Math.hypot(x[index] ?? 0, x[partner] ?? 0);
}

/** @throws ConfigError for a head that does not split into pairs. */
export function checkEven(op: string, headDim: number): void {
  if (headDim % 2 !== 0) {
    throw new ConfigError(
      `${op}: the head size ${headDim} is odd; rotary positions turn pairs, so it must be even.`,
    );
  }
}

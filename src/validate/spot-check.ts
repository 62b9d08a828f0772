/**
 * A large case checked at some of its rows: the kernel runs on all of it, and the float64 reference computes the rows
 * that are looked at. Rows do not depend on each other in any op whose tensors share their first dimension.
 */
import { at, product, range } from '../core/math.ts';
import { inputsOf } from '../ops/ops.ts';
import type { Op, OpInputs, PreparedOp } from '../ops/op.ts';
import { dimNames } from '../ops/shapes.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { once } from '../core/async/once.ts';
import { type KernelCase, referenceOf } from './kernel-case.ts';

/** FLOP of a reference that takes about a second. */
const MOST_FLOPS = 4e8;

/** The case itself when it is small; else one that is compared at evenly spread rows, the first and the last too. */
export function spotChecked(kernelCase: KernelCase): KernelCase {
  const { op, inputs: full } = kernelCase;
  const { flops } = kernelCase.cost();
  if (op === undefined || full === undefined || flops <= MOST_FLOPS) return kernelCase;
  const rowDim = dimNames(op.inputs[0]?.dims ?? '')[0] ?? '';
  const numRows = full().tensors.get(op.inputs[0]?.name ?? '')?.shape[0] ?? 0;
  const kept = Math.max(2, Math.floor((numRows * MOST_FLOPS) / flops));
  if (kept >= numRows) return kernelCase;
  const rows = range(kept).map((i) => Math.floor((i * (numRows - 1)) / (kept - 1)));
  const inRows = (name: string, rules: Op['inputs']): boolean => {
    const rule = rules.find((r) => r.name === name);
    return rule !== undefined && dimNames(rule.dims)[0] === rowDim;
  };
  const sliced = (tensors: ReadonlyMap<string, Tensor>, rules: Op['inputs']): Map<string, Tensor> =>
    new Map([...tensors].map(([name, t]) => [name, inRows(name, rules) ? rowsOf(t, rows) : t]));
  const inputs = once((): OpInputs => {
    const { tensors, attrs } = full();
    return inputsOf(op, sliced(tensors, op.inputs), Object.fromEntries(attrs));
  });
  return {
    ...kernelCase,
    name: `${kernelCase.name}, ${kept} of ${numRows} rows compared`,
    prepare: async (gpu, variant): Promise<PreparedOp> => {
      const prepared = await kernelCase.prepare(gpu, variant);
      return { ...prepared, read: async () => sliced(await prepared.read(), op.outputs) };
    },
    reference: referenceOf(op, inputs),
  };
}

function rowsOf({ dtype, shape, data }: Tensor, rows: readonly number[]): Tensor {
  const width = product(shape.slice(1));
  const picked = data.slice(0, rows.length * width);
  rows.forEach((row, i) => picked.set(data.subarray(row * width, (row + 1) * width), i * width));
  return { dtype, shape: [rows.length, ...shape.slice(1).map((_, d) => at(shape, d + 1))], data: picked };
}

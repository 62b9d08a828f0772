/** Ops on numbers at the ends of f32, in every variant, against float64. */
import { expect } from 'vitest';
import { at } from '../../src/core/math.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { hasOwnBudget } from '../../src/kernels/own-budget.ts';
import { inputsOf, opByName, runOp } from '../../src/ops/ops.ts';
import type { AttrValue } from '../../src/ops/op.ts';
import { compare, describe } from '../../src/tensor/compare.ts';
import { f32Tensor, toF64, type Tensor } from '../../src/tensor/tensor.ts';
import { isThorough } from '../setup/full.ts';
import { onePerShader, someOf } from './one-per-shader.ts';

export function filled(shape: readonly number[], value: number): Tensor {
  return f32Tensor(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value));
}

/** A short run leaves out what nobody is given unasked: files of their own hold those to their ends. */
function shown(name: string, able: readonly string[]): string[] {
  return able.filter((variant) => isThorough || !hasOwnBudget(name, variant));
}

/**
 * Every shader that can run gives NaN where float64 does, and is within the op's own budget elsewhere. With a turn, a short run
 * takes that third of the shaders; all that can run are returned.
 */
export async function expectAgreement(
  gpu: Gpu,
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
  attrs: Readonly<Record<string, AttrValue>> = {},
  turn?: number,
): Promise<string[]> {
  const op = opByName(name);
  const inputs = inputsOf(op, tensors, attrs);
  const expected = op.reference(inputs);
  const able = shown(name, onePerShader(op.able(gpu, inputs)));
  for (const variant of turn === undefined ? able : someOf(able, turn)) {
    const outputs = await runOp(gpu, name, inputs.tensors, attrs, variant);
    const due = hasOwnBudget(name, variant) ? op.reference(inputs, undefined, variant) : expected;
    for (const [output, { values, shape, budget }] of due) {
      const got = toF64(outputs.get(output) ?? f32Tensor([0], []));
      expect(got.map(Number), `${variant}: ${output}`).toHaveLength(values.length);
      const isNaN = values.map((v) => Number(Number.isNaN(v)));
      expect(
        got.map((v) => Number(Number.isNaN(v))),
        `${variant}: NaN of ${output}`,
      ).toEqual(isNaN);
      const zeroed = (all: Float64Array): Float64Array => all.map((v, i) => (at(isNaN, i) === 1 ? 0 : v));
      const allowed = 'perElement' in budget ? { ...budget, perElement: zeroed(budget.perElement) } : budget;
      const result = compare(zeroed(got), zeroed(values), shape, allowed);
      expect(result.pass, `${variant}: ${describe(output, result)}`).toBe(true);
    }
  }
  return able;
}

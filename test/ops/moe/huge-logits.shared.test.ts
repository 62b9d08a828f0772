/** Logits that the layer makes itself, of any size: what is right passes the check, and what is not does not. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { at } from '../../../src/core/math.ts';
import { type Gpu, openGpu } from '../../../src/gpu/gpu.ts';
import { inputsOf, opByName } from '../../../src/ops/ops.ts';
import { compare } from '../../../src/tensor/compare.ts';
import { maker } from '../../../src/validate/draw/maker.ts';
import { testPlatform } from '../../setup/gpu.ts';
import { expectAgreement } from '../extremes.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => gpu.destroy());

const [T, E, D, F] = [5, 8, 16, 12];

/** x is of ordinary size; the gate makes logits of about 4 `size`, some of them far apart. */
function layer(size: number) {
  const make = maker(`logits of ${size}`);
  const gate = make.normal([E, D]);
  gate.data.forEach((v, i) => (gate.data[i] = Number(v) * size));
  const [w1, w3, w2] = [make.weight([E, F, D]), make.weight([E, F, D]), make.weight([E, D, F])];
  return { x: make.normal([T, D]), gate, w1, w3, w2 };
}

const settings = ['softmax', 'sigmoid'].flatMap((score) =>
  [true, false].flatMap((renormalize) =>
    [1, 1e3, 1e6, 1e9, 1e30].map((size) => [score, renormalize, size] as const),
  ),
);

test.each(settings)('%s, renormalize %s, size %d', async (score, renormalize, size) => {
  const attrs = { k: 2, score, renormalize };
  await expectAgreement(gpu, 'moe', layer(size), attrs);
  const op = opByName('moe');
  for (const { values, shape, budget } of op.reference(inputsOf(op, layer(size), attrs)).values()) {
    if (!('perElement' in budget)) expect.unreachable('one bound for all');
    const largest = Math.max(...values.map(Math.abs));
    for (const bound of budget.perElement) expect(bound >= 0 && bound < Infinity).toBe(true);
    // Scores that are 1 or 0 for certain leave no room for another choice.
    if (score === 'softmax' && size === 1e6)
      expect(Math.max(...budget.perElement)).toBeLessThan(1e-2 * largest);
    const wrong = values.map((v, i) => (i === 3 ? v + 100 * (largest + at(budget.perElement, i)) : v));
    expect(compare(wrong, values, shape, budget).pass).toBe(false);
  }
});

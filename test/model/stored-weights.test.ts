/** What storing leaves of a model's weights, and what that does to its loss. */
import { beforeAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { at, range, sum } from '../../src/core/math.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { weightNames, type WeightSource } from '../../src/model/config.ts';
import { dtypesOf, storedValues, storedWeight } from '../../src/model/stored-weights.ts';
import { crossEntropySum } from '../../src/reference/embedding.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { dequantise, QUANT_FORMATS, WEIGHT_DTYPES, type WeightDtype } from '../../src/tensor/quantised.ts';
import { toF64 } from '../../src/tensor/tensor.ts';
import { knownAnswers, loadTinyMoe, validText } from './tiny-moe.ts';

let model: Checkpoint;
beforeAll(async () => {
  model = await loadTinyMoe();
});

const W1 = weightNames.expert(1, 3, 'w1');

describe.each(WEIGHT_DTYPES)('%s', (dtype) => {
  const dtypeOf = (name: string): string => {
    const stored = storedWeight(model, name, dtypesOf(dtype));
    return 'format' in stored ? stored.format : stored.dtype;
  };
  const few = QUANT_FORMATS.some((format) => format === dtype);

  test('matrices have it; norms are f32; gate and embedding are never in few bits', () => {
    for (const name of [W1, weightNames.projection(0, 'o'), weightNames.lmHead])
      expect(dtypeOf(name)).toBe(dtype);
    for (const name of [weightNames.finalNorm, weightNames.expertNorm(2)]) expect(dtypeOf(name)).toBe('f32');
    expect(dtypeOf(weightNames.gate(0))).toBe(dtype === 'f16' ? 'f16' : 'f32');
    expect(dtypeOf(weightNames.embedding)).toBe(few ? 'f16' : dtype);
  });

  test('a reference is given the same numbers', () => {
    const stored = storedWeight(model, W1, dtypesOf(dtype));
    const values = toF64(storedValues(model, dtype).get(W1));
    expect(values).toEqual(toF64('format' in stored ? dequantise(stored) : stored));
    expect(storedValues(model, dtype).origin).toContain(`stored in ${dtype}`);
  });
});

test('a weight that is not finite is named', () => {
  const bad: WeightSource = {
    ...model,
    get: (name) => {
      const found = model.get(name);
      return name === W1 ? { ...found, data: found.data.map((v, i) => (i === 130 ? 0x7e00 : v)) } : found;
    },
  };
  expect(() => storedWeight(bad, W1, dtypesOf('int4'))).toThrow(
    `${W1}[1, 2] is NaN; int4 holds finite values only.`,
  );
  expect(() => storedWeight(bad, W1, dtypesOf('int4'))).toThrow(ConfigError);
});

/** Float64 on all of valid.txt: f32 1.22441 nats per character, int8 1.22486, int4 1.23332, mxfp4 1.23246. */
test.each([
  ['int8', 0.001],
  ['int4', 0.02],
  ['mxfp4', 0.02],
] as const)('%s costs little of the loss', async (dtype: WeightDtype, most: number) => {
  const { window, window_nll_sums: sums } = (await knownAnswers()).cross_entropy;
  const text = await validText();
  const reference = referenceModel(storedValues(model, dtype));
  const windows = range(2);
  const nats = windows.map((i) => {
    const ids = model.tokenizer?.encode(text.slice(i * window, (i + 1) * window)) ?? [];
    return crossEntropySum(reference.forward(ids).logits_TV, ids.slice(1), model.config.vocabSize);
  });
  const exact = sum(windows.map((i) => at(sums, i)));
  expect(Math.abs(sum(nats) - exact) / exact).toBeLessThanOrEqual(most);
});

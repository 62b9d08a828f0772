import { describe, expect, test } from 'vitest';
import { sum } from '../../src/core/math.ts';
import { weightNames, type MoeConfig } from '../../src/model/config.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { toF32, toF64 } from '../../src/tensor/tensor.ts';

const tiny = presetNamed('tiny-moe').config;

const deviation = (v: Float32Array): number => Math.sqrt(sum(v.map((x) => x * x)) / v.length);

describe('syntheticWeights', () => {
  test('gives the same tensor for a seed, in any order, and another for another name or seed', () => {
    const [q, k] = [weightNames.expert(1, 2, 'w1'), weightNames.expert(1, 2, 'w3')];
    const a = syntheticWeights(tiny, 7);
    const b = syntheticWeights(tiny, 7);
    b.get(k);
    expect(a.get(q)).toEqual(b.get(q));
    expect(a.get(q).data).not.toEqual(a.get(k).data);
    expect(a.get(q).data).not.toEqual(syntheticWeights(tiny, 8).get(q).data);
    expect(a.origin).toBe('synthetic, seed 7, f32');
  });

  test('has a deviation of 1 / sqrt(inputs), norms near 1, and the f16 that is nearest', () => {
    const weights = syntheticWeights(tiny, 1);
    const w1 = toF32(weights.get(weightNames.expert(0, 0, 'w1')));
    expect(deviation(w1) * Math.sqrt(128)).toBeCloseTo(1, 1);
    expect(deviation(toF32(weights.get(weightNames.gate(0)))) * Math.sqrt(128)).toBeCloseTo(2, 1);
    const norm = toF32(weights.get(weightNames.finalNorm));
    expect(sum(norm) / norm.length).toBeCloseTo(1, 1);
    const half = syntheticWeights(tiny, 1, 'f16').get(weightNames.expert(0, 0, 'w1'));
    expect(half).toMatchObject({ dtype: 'f16', shape: [96, 128] });
    expect(Math.max(...toF64(half).map((v, i) => Math.abs(v - (w1[i] ?? NaN))))).toBeLessThan(2 ** -12);
  });

  test('refuses a name that the model lacks, and a config that cannot exist', () => {
    expect(() => syntheticWeights(tiny, 0).get('lm_head.bias')).toThrow(/has no tensor "lm_head\.bias"/);
    const odd: MoeConfig = { ...tiny, numKvHeads: 3 };
    expect(() => syntheticWeights(odd, 0)).toThrow(/numHeads \(16\).*numKvHeads \(3\)/);
  });

  test('activations neither explode nor vanish, and most experts are used', () => {
    const model = referenceModel(syntheticWeights({ ...tiny, numLayers: 8 }, 3));
    const result = model.forward(Array.from({ length: 64 }, (_, i) => i));
    for (const hidden of result.hidden) {
      expect(deviation(Float32Array.from(hidden))).toBeGreaterThan(0.5);
      expect(deviation(Float32Array.from(hidden))).toBeLessThan(5);
    }
    expect(deviation(Float32Array.from(result.logits_TV))).toBeGreaterThan(0.3);
    for (const ids of result.expertIds) expect(new Set(ids).size).toBeGreaterThan(12);
  });
});

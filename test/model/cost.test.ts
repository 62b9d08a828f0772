import { expect, test } from 'vitest';
import { product, sum } from '../../src/core/math.ts';
import { flopsPerToken, kvBytesPerToken, parameters, weightBytes } from '../../src/model/cost.ts';
import { presetNamed, presets } from '../../src/model/presets.ts';
import { activationElements, targetNeeds, type TargetLayout } from '../../src/model/target.ts';
import { weightShapes } from '../../src/model/weight-shapes.ts';

const card = presetNamed('card').config;

test.each(['card', 'tiny-moe', 'mixtral-8x7b'])('%s: parameters are the sizes of its tensors', (name) => {
  const { config } = presetNamed(name);
  expect(parameters(config).total).toBe(sum([...weightShapes(config)].map(([, shape]) => product(shape))));
});

test('the card preset: 1.74 B parameters, 0.30 B active, by hand', () => {
  const p = parameters(card);
  expect(p.attention).toBe(16 * 4 * 1024 * 1024);
  expect(p.experts).toBe(16 * 16 * 3 * 1024 * 2048);
  expect(p.total / 1e9).toBeCloseTo(1.744, 3);
  expect(p.active / 1e9).toBeCloseTo(0.3015, 4);
});

test('FLOP are twice the active parameters without norms, plus the scores', () => {
  for (const { config } of presets.values()) {
    const p = parameters(config);
    expect(flopsPerToken(config, 0).total).toBeCloseTo(2 * (p.active - p.norms), 0);
  }
  expect(flopsPerToken(card, 100).attentionScores).toBe(16 * 4 * 16 * 64 * 100);
});

test('bytes of weights and of the KV cache', () => {
  expect(weightBytes(card, 2)).toBe(2 * parameters(card).total);
  expect(kvBytesPerToken(card, 2)).toBe(2 * 16 * 1024 * 2); // 64 KiB
  expect(kvBytesPerToken(presetNamed('mixtral-8x7b').config, 2)).toBe(2 * 32 * 8 * 128 * 2);
});

const layout: TargetLayout = {
  tp: 2,
  pp: 4,
  ep: 16,
  tokensPerMicroBatch: 800,
  kvLength: 1,
  tokensPerKvRead: 1,
  bytesPerWeight: 2,
  bytesPerActivation: 2,
};

test('the target of 100 tokens/ms per GPU asks for about 60 TFLOP/s', () => {
  const needs = targetNeeds(card, 100, layout);
  expect(needs.flopsPerSecond / 1e12).toBeCloseTo(60.4, 0);
  expect(needs.tokensPerMsPerTpGroup).toBe(800);
  expect(needs.expertRowsPerMs).toBe(800);
});

test('weights are read once per micro-batch: here 1,000 times a second', () => {
  const p = parameters(card);
  const resident = (p.attention + p.lmHead) / 8 + (p.norms + p.router) / 4 + p.experts / 64;
  expect(targetNeeds(card, 100, layout).weightBytesPerSecond).toBeCloseTo(2 * resident * 1000, 0);
  const larger = targetNeeds(card, 100, { ...layout, tokensPerMicroBatch: 1600 });
  expect(larger.weightBytesPerSecond).toBeCloseTo(resident * 1000, 0);
});

test('parts add up; a longer context costs KV reads, shared reads save them', () => {
  const a = targetNeeds(card, 100, { ...layout, kvLength: 1024, tokensPerKvRead: 64 });
  expect(a.kvBytesPerSecond).toBe(1e5 * 65536 * 16);
  expect(a.bytesPerSecond).toBe(a.weightBytesPerSecond + a.activationBytesPerSecond + a.kvBytesPerSecond);
  expect(a.intensity).toBe(a.flopsPerSecond / a.bytesPerSecond);
});

test('tensor parallelism beyond the key/value heads reads them more than once', () => {
  const { config } = presetNamed('qwen3-30b-a3b'); // 4 key/value heads
  const at4 = targetNeeds(config, 1, { ...layout, tp: 4 }).kvBytesPerSecond;
  expect(targetNeeds(config, 1, { ...layout, tp: 8 }).kvBytesPerSecond).toBe(2 * at4);
  expect(activationElements(config, 2) - activationElements(config, 1)).toBe(48 * 2 * 2048);
});

test('refuses rates and layouts that are not positive', () => {
  expect(() => targetNeeds(card, 0, layout)).toThrow(/tokensPerMsPerGpu \(0\) must be a positive number/);
  expect(() => targetNeeds(card, 1, { ...layout, tp: NaN })).toThrow(/tp \(NaN\)/);
});

/** The trained model with matrices in few bits: any layout gives what float64 makes of the same rounded weights. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logitsError } from '../../src/bench/model/check.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { at, range, sum } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout, type Layout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import type { MoeConfig } from '../../src/model/config.ts';
import { dtypesOf, storedValues } from '../../src/model/stored-weights.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import { crossEntropySum } from '../../src/reference/embedding.ts';
import { referenceModel, type ReferenceModel } from '../../src/reference/forward.ts';
import { createEngine, type Engine, type EngineOptions } from '../../src/runtime/engine.ts';
import type { LayerShards } from '../../src/memory/shards.ts';
import { layerShards } from '../../src/runtime/shards.ts';
import { dequantise, QUANT_FORMATS, type QuantFormat } from '../../src/tensor/quantised.ts';
import { toF64 } from '../../src/tensor/tensor.ts';
import { knownAnswers, loadTinyMoe, validText } from '../model/tiny-moe.ts';
import { isThorough } from '../setup/full.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu;
let model: Checkpoint;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  model = await loadTinyMoe();
});
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

const layoutOf = (text: string): Layout => planLayout(parseLayout(text), model.config);

async function withEngine<T>(
  text: string,
  options: Partial<EngineOptions>,
  run: (engine: Engine) => Promise<T>,
): Promise<T> {
  const limits = { maxSequences: 4, maxLength: 64 };
  const engine = await createEngine(gpu, { layout: layoutOf(text), weights: model, ...limits, ...options });
  try {
    return await run(engine);
  } finally {
    engine.destroy();
  }
}

const PROMPT = [30, 27, 25, 17, 27, 10, 0, 1, 41, 50, 43];
const LAYOUTS = ['ep=1,pp=1,tp=1,dp=1', 'ep=8,pp=2,tp=2,dp=2'];

describe.each(QUANT_FORMATS.map((format, i) => [format, i] as const))('%s', (format, i) => {
  let reference: ReferenceModel;
  beforeAll(() => {
    reference = referenceModel(storedValues(model, format));
  });

  // Kernels of a format are compiled anew for each layout: of a short run every format has one, and the first both.
  const layouts = isThorough || i === 0 ? LAYOUTS : [at(LAYOUTS, i % LAYOUTS.length)];
  test.each(layouts)('on %s: logits and predicted bytes', async (text) => {
    await withEngine(text, { weightDtype: format }, async (engine) => {
      expect(engine.memory.predictedBytes).toBe(engine.memory.liveBytes);
      const { logits } = await engine.forward([{ sequence: 1, ids: PROMPT }], { logits: 'all' });
      expect(logitsError(at(logits, 0), reference.forward(PROMPT).logits_TV)).toBeLessThan(1e-4);
    });
  });
});

/** Layer 1 as the ranks of a layout hold it, put together again row by row. */
function assembled(layout: Layout, format: QuantFormat): Float64Array {
  const { tp, ep } = layout.spec;
  const { modelDim: D, headDim, numHeads, numKvHeads } = model.config;
  const shard = (which: keyof LayerShards, member: number): Float64Array => {
    const where = { tp: member % tp, ep: member, owners: 1 };
    const parts = layerShards(model, layout, dtypesOf(format), 1, where)[which]?.parts ?? [];
    return Float64Array.from(
      parts.flatMap((part) => {
        const made = part.make();
        return [...toF64('format' in made ? dequantise(made) : made)];
      }),
    );
  };
  const qkv = range(tp).map((i) => shard('qkv', i));
  const out = range(tp).map((i) => shard('out', i));
  const [q, kv, width] = [numHeads, numKvHeads, numHeads].map((heads) => (heads * headDim) / tp) as [
    number,
    number,
    number,
  ];
  const pieces = [
    ...qkv.map((part) => part.subarray(0, q * D)),
    ...qkv.map((part) => part.subarray(q * D, (q + kv) * D)),
    ...qkv.map((part) => part.subarray((q + kv) * D)),
    ...range(D).flatMap((row) => out.map((part) => part.subarray(row * width, (row + 1) * width))),
    ...range(ep).map((i) => shard('w1', i)),
    ...range(ep).map((i) => shard('w2', i)),
  ];
  const all = new Float64Array(sum(pieces.map((piece) => piece.length)));
  let offset = 0;
  for (const piece of pieces) {
    all.set(piece, offset);
    offset += piece.length;
  }
  return all;
}

test.each(QUANT_FORMATS)('%s: the shards of every layout hold the same numbers', (format) => {
  const whole = assembled(layoutOf('ep=1,pp=1,tp=1,dp=1'), format);
  for (const text of ['ep=2,pp=1,tp=2,dp=1', 'ep=4,pp=1,tp=4,dp=1']) {
    const parts = assembled(layoutOf(text), format);
    expect(parts).toHaveLength(whole.length);
    expect(parts.every((value, i) => Object.is(value, whole[i]))).toBe(true);
  }
});

test('weights in few bits take few bytes', async () => {
  const weightBytes = async (weightDtype: NonNullable<EngineOptions['weightDtype']>): Promise<number> =>
    withEngine(at(LAYOUTS, 0), { weightDtype }, (engine) =>
      Promise.resolve(engine.memory.byPurpose['weights'] ?? 0),
    );
  const [f32, int8, int4] = [await weightBytes('f32'), await weightBytes('int8'), await weightBytes('int4')];
  expect(int8 / f32).toBeLessThan(0.28);
  expect(int4 / f32).toBeLessThan(0.18);
});

test('the loss on valid.txt: int8 within 1 % of f32, int4 within 2 %', async () => {
  const { window, window_nll_sums: sums } = (await knownAnswers()).cross_entropy;
  const text = await validText();
  const windows = range(4).map(
    (i) => model.tokenizer?.encode(text.slice(i * window, (i + 1) * window)) ?? [],
  );
  const lossIn = (weightDtype: QuantFormat): Promise<number> =>
    withEngine(at(LAYOUTS, 0), { weightDtype, maxLength: window }, async (engine) => {
      const requests = windows.map((ids, sequence) => ({ sequence, ids }));
      const { logits } = await engine.forward(requests, { logits: 'all' });
      return sum(
        windows.map((ids, i) =>
          crossEntropySum(Float64Array.from(at(logits, i)), ids.slice(1), model.config.vocabSize),
        ),
      );
    });
  const exact = sum(windows.map((_, i) => at(sums, i)));
  expect(Math.abs((await lossIn('int8')) / exact - 1)).toBeLessThan(0.01);
  expect(Math.abs((await lossIn('int4')) / exact - 1)).toBeLessThan(0.02);
});

describe('refuses', () => {
  const shape: MoeConfig = {
    ...{ name: 'odd', vocabSize: 37, modelDim: 64, numLayers: 1, numHeads: 6, numKvHeads: 6, headDim: 16 },
    ...{ numExperts: 6, topK: 3, expertDim: 32, activation: 'silu', renormalize: true },
    ...{ ropeTheta: 10000, rmsEps: 1e-5, maxPositions: 64 },
  };
  const on = (text: string, config: MoeConfig, weightDtype: QuantFormat): Promise<void> =>
    withEngine(
      'ep=1',
      { layout: planLayout(parseLayout(text), config), weights: syntheticWeights(config, 1), weightDtype },
      () => Promise.resolve(),
    );

  test('heads whose part of a row cuts blocks apart', async () => {
    const attempt = on('ep=2,tp=2', shape, 'int4');
    await expect(attempt).rejects.toThrow(/cut its blocks of 32 values apart.*Use fewer TP ranks, or int8/);
    await expect(attempt).rejects.toThrow(ConfigError);
    await on('ep=2,tp=2', shape, 'int8');
  });

  test('widths that are not whole blocks', async () => {
    await expect(on('ep=1', { ...shape, expertDim: 24 }, 'mxfp4')).rejects.toThrow(
      /experts\.0\.w2\.weight has 24 values per row; mxfp4 has a scale per 32/,
    );
  });
});

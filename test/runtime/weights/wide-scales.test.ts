/** Weights in few bits whose scales lie at the ends of f32: the engine sees them as they come, and takes kernels that hold them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { logitsError } from '../../../src/bench/model/check.ts';
import { at, maxOf } from '../../../src/core/math.ts';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { planLayout } from '../../../src/layout/layout.ts';
import { parseLayout } from '../../../src/layout/spec.ts';
import type { MoeConfig, WeightSource } from '../../../src/model/config.ts';
import { dtypesOf, kindOf, storedValues, type WeightKind } from '../../../src/model/stored-weights.ts';
import { syntheticWeights } from '../../../src/model/synthetic.ts';
import { referenceModel } from '../../../src/reference/forward.ts';
import { createEngine } from '../../../src/runtime/engine.ts';
import { layerShards } from '../../../src/runtime/shards.ts';
import { WeightStore } from '../../../src/runtime/weight-store.ts';
import { quantise } from '../../../src/tensor/quantise.ts';
import type { QuantFormat, QuantisedMatrix } from '../../../src/tensor/quantised.ts';
import { f32Tensor, toF32 } from '../../../src/tensor/tensor.ts';
import { isThorough } from '../../setup/full.ts';
import { testPlatform } from '../../setup/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

/** Every expert is chosen, so that no near tie decides. */
const config: MoeConfig = {
  ...{ name: 'wide', vocabSize: 37, modelDim: 64, numLayers: 1, numHeads: 4, numKvHeads: 4, headDim: 16 },
  ...{ numExperts: 2, topK: 2, expertDim: 32, activation: 'silu', renormalize: true },
  ...{ ropeTheta: 10000, rmsEps: 1e-5, maxPositions: 64 },
};
const layout = planLayout(parseLayout('ep=1'), config);

/** Powers of two by the end of a tensor's name. */
type Powers = Readonly<Record<string, number>>;
const powerOf = (powers: Powers, name: string): number =>
  Object.entries(powers).find(([end]) => name.endsWith(`${end}.weight`))?.[1] ?? 0;

const plain = syntheticWeights(config, 3);

/** The tensors that are named times a power of two. */
function scaled(powers: Powers): WeightSource {
  return {
    config,
    origin: 'scaled',
    get(name) {
      const { shape, data } = plain.get(name);
      const power = powerOf(powers, name);
      return f32Tensor(
        shape,
        Float32Array.from(data, (v) => v * 2 ** power),
      );
    },
  };
}

/** The same, but mxfp4 as a file has it, whose scales leave f32 with some values: the largest of those that are named is this byte. */
function packed(powers: Powers, bytes: Powers): WeightSource {
  const source = scaled(powers);
  const pack = (name: string): QuantisedMatrix => {
    const matrix = quantise(source.get(name), 'mxfp4', name);
    const byte = powerOf(bytes, name);
    const more = byte === 0 ? 0 : byte - maxOf(matrix.scales);
    return { ...matrix, scales: Uint8Array.from(matrix.scales, (old) => old + more) };
  };
  return {
    ...source,
    packed: (name) => (kindOf(name) === undefined || name.includes('gate') ? undefined : pack(name)),
  };
}

/** Small rows by large weights: 6 times 2^126 is no f32, its product with a value of 2^-112 is. */
const MXFP4 = packed(
  { norm: -112, 'block_sparse_moe.gate': 112, q_proj: 112, k_proj: 112 },
  { v_proj: 245, w1: 253, w2: 253, lm_head: 253 },
);

/** Hidden values of 2^122, whose sum with whole numbers leaves f32 before the scales of w2 bring it back. */
const INT = scaled({ w1: 61, w3: 61, w2: -112 });

const SOURCES: readonly (readonly [QuantFormat, WeightSource, readonly WeightKind[]])[] = [
  ['mxfp4', MXFP4, ['attention', 'experts', 'head']],
  ['int8', INT, ['experts']],
  ['int4', INT, ['experts']],
  ['mxfp4', plain, []],
];

async function kindsOf(source: WeightSource, format: QuantFormat): Promise<WeightKind[]> {
  const store = new WeightStore(gpu, source);
  const place = { tp: 0, ep: 0, owners: 1 };
  const dtypes = dtypesOf(format);
  try {
    const { qkv, out, w1, w2, w3 } = layerShards(source, layout, dtypes, 0, place);
    for (const shard of [qkv, out, w1, w2, w3]) if (shard !== undefined) await store.get(shard);
    await store.written();
    return [...store.wideKinds()];
  } finally {
    store.destroy();
  }
}

test.each(SOURCES)('%s: kinds of matrices whose products may leave f32', async (format, source, kinds) => {
  expect(await kindsOf(source, format)).toEqual(kinds.filter((kind) => kind !== 'head'));
});

test('a block of zeros has a scale that counts for nothing', async () => {
  const zeros: WeightSource = {
    ...plain,
    get: (name) => {
      const whole = plain.get(name);
      return f32Tensor(
        whole.shape,
        toF32(whole).map((v, i) => (i < 64 ? 0 : v)),
      );
    },
  };
  expect(Math.min(...quantise(zeros.get('model.layers.0.self_attn.q_proj.weight'), 'mxfp4').scales)).toBe(1);
  expect(await kindsOf(zeros, 'mxfp4')).toEqual([]);
});

// Each compiles two sets of kernels.
test.runIf(isThorough).each(SOURCES.slice(0, 2))('%s: logits of an engine', async (format, weights) => {
  const engine = await createEngine(gpu, {
    ...{ layout, weights, weightDtype: format, maxSequences: 1, maxLength: 16 },
  });
  try {
    const reference = referenceModel(storedValues(weights, format));
    for (const ids of [[3], [1, 4, 9, 16, 25, 36, 12, 27, 7, 26, 10]]) {
      engine.reset();
      const { logits } = await engine.forward([{ sequence: 0, ids }], { logits: 'all' });
      expect(logitsError(at(logits, 0), reference.forward(ids).logits_TV)).toBeLessThan(1e-3);
    }
  } finally {
    engine.destroy();
  }
});

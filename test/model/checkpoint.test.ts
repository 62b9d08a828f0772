import { describe, expect, test } from 'vitest';
import { AbsentFileError, ConfigError } from '../../src/core/errors.ts';
import { loadCheckpoint, type Checkpoint } from '../../src/model/checkpoint.ts';
import { weightNames } from '../../src/model/config.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { weightShapes } from '../../src/model/weight-shapes.ts';
import { product } from '../../src/core/math.ts';
import { f32Tensor, tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { loadTinyMoe, validText } from './tiny-moe.ts';
import { SMALL } from './small-config.ts';

const SMALL_CONFIG = {
  ...presetNamed('tiny-moe').config,
  vocabSize: 5,
  modelDim: 4,
  expertDim: 3,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 2,
  numExperts: 2,
  topK: 1,
};

function smallTensors(): Map<string, Tensor> {
  return new Map(
    [...weightShapes(SMALL_CONFIG)].map(([name, shape]) => [
      name,
      f32Tensor(shape, new Float32Array(product(shape))),
    ]),
  );
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** Loads a folder that exists only here. */
function load(files: Record<string, Uint8Array>): Promise<Checkpoint> {
  return loadCheckpoint('models/small/', (path) => {
    const found = files[path.replace('models/small/', '')];
    return found ? Promise.resolve(found) : Promise.reject(new AbsentFileError(`no file ${path}`));
  });
}

const whole = (tensors = smallTensors()): Record<string, Uint8Array> => ({
  'config.json': json(SMALL),
  'model.safetensors': writeSafetensors(tensors),
});

describe('the trained model of the repository', () => {
  test('has the config of its preset and the tensors that the config asks for', async () => {
    const checkpoint = await loadTinyMoe();
    expect(checkpoint.config).toEqual(presetNamed('tiny-moe').config);
    expect(checkpoint.get(weightNames.gate(3)).shape).toEqual([16, 128]);
    expect(checkpoint.get(weightNames.expert(0, 15, 'w2'))).toMatchObject({ dtype: 'f16', shape: [128, 96] });
    expect(() => checkpoint.get(weightNames.gate(4))).toThrow(
      /no tensor "model\.layers\.4.*Layers are 0 to 3/,
    );
  });

  test('its text survives the tokenizer', async () => {
    const { tokenizer } = await loadTinyMoe();
    const text = await validText();
    expect(tokenizer?.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer?.size).toBe(65);
  });
});

test('head_dim defaults to the width of a head; no vocabulary is no tokenizer', async () => {
  const checkpoint = await load(whole());
  expect(checkpoint.config).toMatchObject({ name: 'small', headDim: 2, renormalize: true });
  expect(checkpoint.tokenizer).toBeUndefined();
});

describe('shards', () => {
  const names = [...smallTensors().keys()];
  const shardOf = (i: number): string => `model-0000${(i % 2) + 1}-of-00002.safetensors`;
  const part = (which: number): Uint8Array =>
    writeSafetensors(new Map([...smallTensors()].filter((_, i) => i % 2 === which)));
  const files = {
    'config.json': json(SMALL),
    'model.safetensors.index.json': json({
      metadata: {},
      weight_map: Object.fromEntries(names.map((name, i) => [name, shardOf(i)])),
    }),
    [shardOf(0)]: part(0),
    [shardOf(1)]: part(1),
  };

  test('give all tensors', async () => {
    const checkpoint = await load(files);
    for (const [name, shape] of weightShapes(SMALL_CONFIG)) expect(checkpoint.get(name).shape).toEqual(shape);
  });

  test('must be files of the folder', async () => {
    const index = json({ weight_map: { a: '../../secret.safetensors' } });
    await expect(load({ ...files, 'model.safetensors.index.json': index })).rejects.toThrow(
      /must be a \*\.safetensors file of the same folder/,
    );
  });

  test('must agree with the index', async () => {
    await expect(load({ ...files, [shardOf(1)]: part(0) })).rejects.toThrow(/does not place there/);
  });

  test('without index or weights', async () => {
    await expect(load({ 'config.json': json(SMALL) })).rejects.toThrow(
      /Neither models\/small\/model\.safetensors nor .*index\.json can be read/,
    );
  });
});

describe('tensors', () => {
  const gate = weightNames.gate(0);
  const change = (name: string, t?: Tensor): Record<string, Uint8Array> => {
    const tensors = smallTensors();
    if (t) tensors.set(name, t);
    else tensors.delete(name);
    return whole(tensors);
  };

  test('a missing one is named with its shape', async () => {
    await expect(load(change(gate))).rejects.toThrow(
      'lacks 1 of 16 tensors: model.layers.0.block_sparse_moe.gate.weight [2, 4]',
    );
  });

  test('an unknown one is refused, for it would be left out', async () => {
    const bias = 'model.layers.0.self_attn.q_proj.bias';
    await expect(load(change(bias, f32Tensor([4], [0, 0, 0, 0])))).rejects.toThrow(
      /1 tensors that a Mixtral model does not use: .*q_proj\.bias/,
    );
  });

  test('a wrong shape', async () => {
    await expect(load(change(gate, f32Tensor([4, 2], new Float32Array(8))))).rejects.toThrow(
      /gate\.weight of .* has shape \[4, 2\], but config\.json asks for \[2, 4\]/,
    );
  });

  test('integers', async () => {
    await expect(load(change(gate, tensor('i32', [2, 4], new Int32Array(8))))).rejects.toThrow(
      /holds integers/,
    );
  });
});

const unsupported: readonly [setting: Record<string, unknown>, message: RegExp][] = [
  [
    { model_type: 'qwen3_next' },
    /sets model_type to "qwen3_next", which is not supported.*Supported: mixtral, qwen3_moe/,
  ],
  [{ hidden_size: undefined }, /hidden_size/],
  [{ num_local_experts: 1.5 }, /num_local_experts/],
  [{ rms_norm_eps: 'small' }, /rms_norm_eps/],
  [{ sliding_window: 0 }, /sliding_window/],
  [{ tie_word_embeddings: 1 }, /tie_word_embeddings/],
  [{ rope_scaling: { type: 'yarn' } }, /rope_scaling: factor/],
  [{ rope_scaling: { type: 'dynamic', factor: 2 } }, /sets rope_type to "dynamic", which is not supported/],
  [{ rope_theta: undefined }, /rope_theta is missing/],
  [{ attention_bias: true }, /attention_bias/],
  [{ quantization_config: { bits: 4 } }, /quantization_config/],
  [{ hidden_act: 'gelu' }, /hidden_act to "gelu".*Supported: silu/],
  [{ num_attention_heads: 4, num_key_value_heads: 3, head_dim: 2 }, /not a multiple of numKvHeads \(3\)/],
  [{ num_experts_per_tok: 3 }, /topK \(3\) of model small exceeds numExperts \(2\)/],
  [{ head_dim: 3 }, /headDim \(3\).* is odd/],
];

test.each(unsupported)('config.json with %j is refused', async (setting, message) => {
  const loading = load({ ...whole(), 'config.json': json({ ...SMALL, ...setting }) });
  await expect(loading).rejects.toThrow(ConfigError);
  await expect(loading).rejects.toThrow(message);
});

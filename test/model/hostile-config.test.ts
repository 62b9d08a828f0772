/** A config.json that comes from anywhere: read, or refused in a line or two and at once. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { readHfConfig } from '../../src/model/hf-config.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { numWeights, weightShape, weightShapes } from '../../src/model/weight-shapes.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { SMALL } from './small-config.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a config is refused with; undefined when it is read. */
function refusal(text: string): string | undefined {
  try {
    readHfConfig(bytes(text), 'small', 'config.json');
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    const { message } = error as ConfigError;
    expect(message.length).toBeLessThan(400);
    expect(message).not.toMatch(/\p{Cc}/u);
    return message;
  }
}

const withField = (field: string, value: string): string =>
  JSON.stringify({ ...SMALL, [field]: '@' }).replace('"@"', value);

const COUNTS = ['vocab_size', 'hidden_size', 'num_hidden_layers', 'num_local_experts', 'head_dim'];
const NO_COUNTS = ['1e308', '-0', '0', '-1', '1.5', '"4"', '[4]', '{}', 'true', '9007199254740993', '1e400'];

test.each(COUNTS.flatMap((field) => NO_COUNTS.map((value) => [field, value])))('%s of %s', (field, value) => {
  expect(refusal(withField(field, value))).toMatch(value === '1e400' ? /beyond float64/ : field);
});

test.each([
  ['rms_norm_eps', '0'],
  ['rms_norm_eps', '1e308'],
  ['rms_norm_eps', '1e-50'],
  ['rms_norm_eps', '-1e-5'],
  ['rope_theta', '0'],
  ['rope_theta', '-1'],
  ['rope_theta', '"x"'],
])('%s of %s', (field, value) => {
  expect(refusal(withField(field, value))).toMatch(/rms|rope/);
});

test.each([
  ['hidden_act', JSON.stringify('x'.repeat(5e6))],
  ['model_type', JSON.stringify('x'.repeat(5e6))],
  ['hidden_act', '"\\u001b[2J"'],
  ['vocab_size', '['.repeat(9e4) + ']'.repeat(9e4)],
  ['sliding_window', '{"a":'.repeat(9e4) + '1' + '}'.repeat(9e4)],
  ['quantization_config', JSON.stringify(Array.from({ length: 1e5 }, (_, i) => i))],
])('a huge or hostile %s', (field, value) => {
  expect(refusal(withField(field, value))).toMatch(field);
});

test('any JSON and any field is read or refused', () => {
  const anyField = fc.tuple(fc.constantFrom(...Object.keys(SMALL), 'rope_scaling'), fc.jsonValue());
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        anyField.map(([f, value]) => withField(f, JSON.stringify(value))),
      ),
      (text) => {
        refusal(text);
      },
    ),
    { numRuns: 400 },
  );
});

describe('more layers and experts than there are atoms of', () => {
  const MANY = 9e15;
  const load = async (config: object): Promise<unknown> => {
    const files: Record<string, Uint8Array> = {
      'config.json': bytes(JSON.stringify({ ...SMALL, ...config })),
      'model.safetensors': writeSafetensors({ 'lm_head.weight': f32Tensor([5, 4], new Float32Array(20)) }),
    };
    return loadCheckpoint('m', (path) => Promise.resolve(files[path.slice(2)] ?? new Uint8Array()));
  };

  test.each([
    [{ num_hidden_layers: 1e6 }, /lacks 13000002 of 13000003 tensors: model\.embed_tokens/],
    [{ num_local_experts: 1e6 }, /lacks 3000009 of 3000010 tensors/],
    [
      { num_hidden_layers: MANY, num_local_experts: MANY },
      /tensors: model\.embed_tokens\.weight \[5, 4\], model\.norm/,
    ],
  ])('%j is compared with what the file has, not written out', async (config, expected) => {
    await expect(load(config)).rejects.toThrow(expected);
    await expect(load(config)).rejects.toThrow(/^.{1,500}$/);
  });
});

test('a name has the shape that the list of all gives it, and no other name has one', () => {
  const config = { ...presetNamed('tiny-moe').config, numLayers: 2, numExperts: 3 };
  const all = [...weightShapes(config)];
  expect(all).toHaveLength(numWeights(config));
  for (const [name, shape] of all) expect(weightShape(config, name)).toEqual(shape);
  for (const [name] of all) {
    for (const other of [`${name}x`, `x${name}`, name.replace(/\d/, '9'), name.replace(/(\d)/, '0$1')]) {
      if (other !== name && !all.some(([known]) => known === other))
        expect(weightShape(config, other)).toBeUndefined();
    }
  }
});

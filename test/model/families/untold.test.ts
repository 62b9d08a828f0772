/** dots1, MiniMax-M2 and ERNIE-4.5 beside transformers, in float64; and the names that newer files have for a field. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { at } from '../../../src/core/math.ts';
import { AbsentFileError } from '../../../src/core/errors.ts';
import { type Checkpoint, loadCheckpoint } from '../../../src/model/checkpoint.ts';
import { modelOfConfig } from '../../../src/model/families/table.ts';
import { referenceModel } from '../../../src/reference/forward.ts';
import {
  errorOf,
  type FamilyName,
  folderOf,
  type PlainReference,
  referenceOf,
  UNTOLD,
} from './checkpoints.ts';

type Fields = Record<string, unknown>;

const configOf = async (name: FamilyName): Promise<Fields> =>
  JSON.parse(await readFile(`${folderOf(name)}/config.json`, 'utf8')) as Fields;

/** The checkpoint with other fields in its config; undefined takes one away. */
async function load(name: FamilyName, changes: Fields = {}): Promise<Checkpoint> {
  const config = new TextEncoder().encode(JSON.stringify({ ...(await configOf(name)), ...changes }));
  return loadCheckpoint(folderOf(name), async (path) => {
    if (path.endsWith('/config.json')) return config;
    if (!path.endsWith('/model.safetensors')) throw new AbsentFileError(`${path} is not there`);
    return new Uint8Array(await readFile(path));
  });
}

/** Fields of one age of keys in place of those of the other. */
const ANEW: Readonly<Record<(typeof UNTOLD)[number], (config: Fields) => Fields>> = {
  dots1: ({ rope_theta, n_routed_experts }) => ({
    ...{ rope_theta: undefined, n_routed_experts: undefined, num_local_experts: n_routed_experts },
    rope_parameters: { rope_type: 'default', rope_theta },
    ...{ max_window_layers: 62, layer_types: ['full_attention', 'full_attention', 'sliding_attention'] },
  }),
  'minimax-m2': ({ rope_theta, num_local_experts }) => ({
    ...{ rope_theta: undefined, rotary_dim: undefined },
    ...{ num_local_experts: undefined, num_experts: num_local_experts },
    rope_parameters: { rope_type: 'default', rope_theta, partial_rotary_factor: 0.5 },
  }),
  'ernie4.5-moe': ({ rope_theta, moe_num_experts, moe_k }) => ({
    ...{ rope_theta: undefined, moe_layer_end_index: -1 },
    ...{ moe_num_experts: undefined, num_experts: moe_num_experts },
    ...{ moe_k: undefined, num_experts_per_tok: moe_k },
    rope_parameters: { rope_type: 'default', rope_theta },
  }),
};

describe.each(UNTOLD)('%s', (name) => {
  test.each(['as published', 'with newer keys'])(
    '%s: logits and greedy ids are those of transformers',
    async (age) => {
      const model = await load(name, age === 'as published' ? {} : ANEW[name](await configOf(name)));
      const reference = referenceModel(model);
      const { cases }: PlainReference = await referenceOf(name);
      for (const { ids, greedy, logits } of cases) {
        const { logits_TV } = reference.forward(ids);
        // They are of float32.
        expect(errorOf(logits_TV.subarray(-model.config.vocabSize), logits)).toBeLessThan(1e-5);
        expect(reference.generate(ids, greedy.length)).toEqual(greedy);
      }
    },
  );

  test('what its config says is seen', async () => {
    const { cases, sensitivity }: PlainReference = await referenceOf(name);
    const { ids, logits } = at(cases, 1);
    for (const { without, set, error } of sensitivity) {
      const model = await load(name, { [without]: set });
      const moved = errorOf(
        referenceModel(model).forward(ids).logits_TV.subarray(-model.config.vocabSize),
        logits,
      );
      expect(moved / error, without).toBeGreaterThan(0.97);
      expect(moved / error, without).toBeLessThan(1.03);
    }
  });
});

test('more experts a token than the groups that are kept have are refused', async () => {
  await expect(load('dots1', { topk_group: 1 })).rejects.toThrow(
    /\(3\) is more than the 2 experts of 1 of 4/,
  );
});

test('Qwen3-MoE as transformers 5 writes it names its experts otherwise', async () => {
  const { num_experts, ...config } = await configOf('qwen3-moe');
  const { rope_theta, rope_scaling, ...rest } = config;
  expect(rope_scaling).toBeNull();
  const anew = {
    ...rest,
    num_local_experts: num_experts,
    rope_parameters: { rope_type: 'default', rope_theta },
  };
  const read = (fields: Fields) => modelOfConfig(fields, 'm', 'config.json').config;
  expect(read(anew)).toEqual(read({ ...config, num_experts }));
  expect(() => read({ ...rest, rope_theta })).toThrow(/num_experts/);
});

test('positions before they were stretched may stand beside the record, or be those of the model', async () => {
  const config = await configOf('qwen3-moe');
  const rope_scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  const read = (fields: Fields) => modelOfConfig({ ...config, ...fields }, 'm', 'config.json').config.rope;
  const inside = (original: number) =>
    read({ rope_scaling: { ...rope_scaling, original_max_position_embeddings: original } });
  expect(read({ rope_scaling, original_max_position_embeddings: 32 })).toEqual(inside(32));
  expect(read({ rope_scaling })).toEqual(inside(512));
  expect(inside(32)).not.toEqual(inside(512));
});

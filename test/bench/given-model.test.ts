/** A model of the user's in the bench: its answers are those of float64. */
import { expect, test } from 'vitest';
import { answeringModel } from '../../src/bench/model/given-model.ts';
import { loadModel, loadModelOrShape } from '../../src/cli/model.ts';
import { layout } from '../../src/cli/verbs/layout.ts';
import { folderOf } from '../model/families/checkpoints.ts';

test('answers prompts as transformers says, with its own tokenizer', async () => {
  const model = await loadModel(folderOf('mixtral'));
  const { answers, model: whole } = await answeringModel(model, new Uint8Array());
  const [prompt] = answers.prompts;
  expect(prompt?.ids).toEqual(model.tokenizer?.encode(prompt?.text ?? '').slice(0, 8));
  expect(prompt?.last_logits).toHaveLength(384);
  expect(answers.cross_entropy.window_nll_sums.every((nats) => nats > 0)).toBe(true);
  expect(whole.tokenizer?.encode('Hi').length).toBeLessThanOrEqual(2);
  await model.close();
});

test('a config.json is a model of random weights; one that float64 cannot hold is refused', async () => {
  const shape = await loadModelOrShape(`${folderOf('glm4-moe')}/config.json`);
  expect(shape.get('model.norm.weight').shape).toEqual([48]);
  const large = { ...shape, config: { ...shape.config, numExperts: 2 ** 20 } };
  await expect(answeringModel(large, new Uint8Array())).rejects.toThrow(/holds its model in float64 whole/);
});

test('a layout of a model is one that suits it', async () => {
  expect(await layout({ model: folderOf('qwen2-moe') })).toMatchObject({
    layout: 'ep=6,pp=1,tp=1,dp=1',
    model: 'qwen2-moe',
  });
  await expect(layout({ model: folderOf('qwen2-moe'), preset: 'card' })).rejects.toThrow(/Give one of them/);
});

/** The float64 reference on a checkpoint of each family: what transformers computes; and forgetting a thing is seen. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { at, range } from '../../../src/core/math.ts';
import { type Checkpoint, loadCheckpoint } from '../../../src/model/checkpoint.ts';
import type { MoeConfig, WeightSource } from '../../../src/model/config.ts';
import { placeOf } from '../../../src/model/weights/parts.ts';
import { referenceModel } from '../../../src/reference/forward.ts';
import { tensor } from '../../../src/tensor/tensor.ts';
import { errorOf, FAMILIES, type FamilyName, folderOf, referenceOf } from './checkpoints.ts';

/** The checkpoint, with some of its config.json set anew. */
function load(name: FamilyName, changes: Readonly<Record<string, unknown>> = {}): Promise<Checkpoint> {
  return loadCheckpoint(folderOf(name), async (path) => {
    const bytes = await readFile(path);
    if (!path.endsWith('/config.json')) return new Uint8Array(bytes);
    const config = JSON.parse(bytes.toString()) as object;
    return new TextEncoder().encode(JSON.stringify({ ...config, ...changes }));
  });
}

const FLAT = 1e-6;

describe.each(FAMILIES)('%s', (name) => {
  test('logits, greedy ids, routing and text are those of transformers', async () => {
    const model = await load(name);
    const known = await referenceOf(name);
    const reference = referenceModel(model);
    const { vocabSize, topK } = model.config;
    expect(model.endIds).toEqual([known.eos].flat());
    for (const [i, { text, ids, greedy, greedyText, logits }] of known.cases.entries()) {
      expect(model.tokenizer?.encode(text)).toEqual(ids);
      const result = reference.forward(ids);
      expect(errorOf(result.logits_TV.subarray(-vocabSize), logits)).toBeLessThan(FLAT);
      expect(model.tokenizer?.decode(greedy)).toBe(greedyText);
      if (i !== 1) continue;
      expect(reference.generate(ids, greedy.length)).toEqual(greedy);
      for (const { layer, experts, weights } of known.routers) {
        const [chosen, scores] = [at(result.expertIds, layer), at(result.expertScores, layer)];
        experts.forEach((row, t) => {
          const own = range(topK)
            .map((k) => ({ id: at(chosen, t * topK + k), score: at(scores, t * topK + k) }))
            .sort((a, b) => b.score - a.score);
          expect(own.map(({ id }) => id)).toEqual(row);
          expect(
            errorOf(
              own.map(({ score }) => score),
              at(weights, t),
            ),
          ).toBeLessThan(FLAT);
        });
      }
    }
  });
});

/** Things that are in no config.json, taken away. */
const WITHOUT: Readonly<Record<string, (model: Checkpoint) => WeightSource>> = {
  sinks: (model) => withConfig(model, { attention: { ...model.config.attention, sinks: false } }),
  limit: (model) => withConfig(model, { clamp: { alpha: 1.702, beta: 1, limit: 1e30 } }),
  alpha: (model) => withConfig(model, { clamp: { alpha: 1, beta: 1, limit: 7 } }),
  e_score_correction_bias: (model) => ({
    ...model,
    get: (name) => {
      const found = model.get(name);
      if (placeOf(name)?.part !== 'correction') return found;
      return tensor('f32', found.shape, new Float32Array(found.data.length));
    },
  }),
};

function withConfig(model: Checkpoint, changes: Partial<MoeConfig>): WeightSource {
  return { config: { ...model.config, ...changes }, origin: model.origin, get: (name) => model.get(name) };
}

const forgotten = await Promise.all(
  FAMILIES.map(async (name) => (await referenceOf(name)).sensitivity.map((s) => ({ name, ...s }))),
);

test.each(forgotten.flat())('$name without $without moves the logits by $error', async (thing) => {
  const { name, without, set, error } = thing;
  const known = await referenceOf(name);
  const take = WITHOUT[without];
  const changed = take === undefined ? await load(name, { [without]: set }) : take(await load(name));
  const forget = referenceModel(changed);
  // It is of the longest case.
  const { ids, logits } = at(known.cases, known.cases.length - 1);
  const moved = errorOf(forget.forward(ids).logits_TV.subarray(-changed.config.vocabSize), logits);
  expect(moved).toBeGreaterThan(2e-3);
  expect(moved / error).toBeGreaterThan(0.97);
  expect(moved / error).toBeLessThan(1.03);
});

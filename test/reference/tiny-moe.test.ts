/** The reference reproduces an independent float64 program on trained weights. */
import { beforeAll, describe, expect, test } from 'vitest';
import { at, sum } from '../../src/core/math.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import type { Tokenizer } from '../../src/model/text/tokenizer.ts';
import { crossEntropySum } from '../../src/reference/embedding.ts';
import { referenceModel, type ReferenceModel } from '../../src/reference/forward.ts';
import { knownAnswers, loadTinyMoe, validText, type KnownAnswers } from '../model/tiny-moe.ts';

let model: ReferenceModel;
let tokenizer: Tokenizer;
let known: KnownAnswers;

beforeAll(async () => {
  const checkpoint: Checkpoint = await loadTinyMoe();
  if (checkpoint.tokenizer === undefined) throw new Error('tiny-moe has a vocabulary');
  tokenizer = checkpoint.tokenizer;
  model = referenceModel(checkpoint);
  known = await knownAnswers();
});

/** [[a, b], [c, d]] as [T][K], from flat rows. */
function rows(flat: ArrayLike<number>, width: number): number[][] {
  return Array.from({ length: flat.length / width }, (_, t) =>
    Array.from({ length: width }, (_, k) => at(flat, t * width + k)),
  );
}

function worst(got: ArrayLike<number>, want: readonly number[]): number {
  expect(got.length).toBe(want.length);
  return Math.max(...want.map((w, i) => Math.abs(at(got, i) - w)));
}

describe.each([0, 1])('prompt %i', (index) => {
  test('last logits, routing and norms of the prompt', () => {
    const prompt = at(known.prompts, index);
    expect(tokenizer.encode(prompt.text)).toEqual(prompt.ids);
    const { vocabSize, modelDim } = model.config;
    const result = model.forward(prompt.ids);
    expect(worst(result.logits_TV.subarray(-vocabSize), prompt.last_logits)).toBeLessThan(1e-5);
    expect(result.expertIds.map((ids) => rows(ids, 2))).toEqual(prompt.router_top2);
    for (const [layer, scores] of result.expertScores.entries()) {
      expect(worst(scores, at(prompt.router_weights, layer).flat())).toBeLessThan(1e-6);
    }
    expect(
      worst(
        result.gaps.map((g) => Math.min(...g)),
        prompt.router_min_gap,
      ),
    ).toBeLessThan(1e-7);
    const norms = result.hidden.map((h) => Math.hypot(...h.subarray(-modelDim)));
    expect(worst(norms, prompt.hidden_norms)).toBeLessThan(1e-4);
  });

  test('100 greedy tokens, through the cache', () => {
    const prompt = at(known.prompts, index);
    const ids = model.generate(prompt.ids, 100);
    expect(ids).toEqual(prompt.greedy_ids.slice(0, 100));
    expect(tokenizer.decode(ids)).toBe(prompt.greedy_text.slice(0, 100));
  });
});

test('token by token through the cache equals all at once', () => {
  const { ids } = at(known.prompts, 0);
  const whole = model.forward(ids);
  const cache = model.newCache();
  const steps = ids.flatMap((id) => [...model.forward([id], cache).logits_TV]);
  expect(worst(steps, [...whole.logits_TV])).toBeLessThan(1e-9);
  expect(cache.length).toBe(ids.length);
});

test('cross entropy of 2,048 characters and expert counts of 4,096, in windows of 256', async () => {
  const ids = tokenizer.encode(await validText());
  const { window } = known.expert_counts;
  const counts = known.expert_counts.counts.map((layer) => layer.map(() => 0));
  let nats = 0;
  for (let start = 0; start < ids.length; start += window) {
    const part = ids.slice(start, start + window);
    const result = model.forward(part);
    if (start < 2048) nats += crossEntropySum(result.logits_TV, part.slice(1), model.config.vocabSize);
    for (const [layer, chosen] of result.expertIds.entries()) {
      const tally = at(counts, layer);
      for (const expert of chosen) tally[expert] = at(tally, expert) + 1;
    }
  }
  expect(Math.abs(nats / known.cross_entropy.predictions - 1.224411)).toBeLessThan(1e-5);
  expect(Math.abs(nats / known.cross_entropy.predictions - known.cross_entropy.nats_per_char)).toBeLessThan(
    1e-6,
  );
  expect(counts).toEqual(known.expert_counts.counts);
  expect(sum(at(counts, 0))).toBe(2 * ids.length);
});

test('refuses more positions than the model was trained for', () => {
  expect(() => model.forward(new Int32Array(257))).toThrow(/257 tokens are more than the 256 positions/);
});

test('refuses an id outside the vocabulary', () => {
  expect(() => model.forward([3, 65])).toThrow(/Token id 65 at position 1 is not in 0 \.\. 64/);
});

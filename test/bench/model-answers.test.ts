/** The check of the whole model: every one of its questions can fail, and each is asked of the right pair. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readKnownAnswers } from '../../src/bench/model/known-answers.ts';
import {
  checkModel,
  checkModelAfter,
  compareAnswers,
  type Answers,
  type ModelCheck,
} from '../../src/bench/model/check.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { loadTinyMoe, readBytes, TINY_MOE } from '../model/tiny-moe.ts';
import { testPlatform } from '../setup/platform.ts';

/** Two prompts of one layer and two tokens each, top-1 of any, and one window of 101 characters. */
const known: Answers = {
  logits: [
    [1, -4, 2],
    [0.5, 8, 1],
  ],
  experts: [[[3, 1]], [[0, 2]]],
  text: [
    [5, 6],
    [7, 8],
  ],
  nats: [120],
};
/** The second token of the second prompt is a near tie. */
const gaps = [[[0.5, 0.5]], [[0.5, 1e-5]]];

const failing = (changes: Partial<Answers>, who: 'sharded' | 'unsharded' | 'known' = 'sharded'): string[] => {
  const all = { sharded: known, unsharded: known, known };
  const checks = compareAnswers({ ...all, [who]: { ...known, ...changes } }, gaps, 100);
  expect(checks).toHaveLength(12);
  return checks.filter(({ pass }) => !pass).map(nameOf);
};
const nameOf = ({ what, who, against }: ModelCheck): string => `${what}, ${who} - ${against}`;

describe('what is compared', () => {
  test('equal answers pass everywhere', () => {
    expect(failing({})).toEqual([]);
  });

  test('each of the two is held against what is known, and they against each other', () => {
    const off: Partial<Answers> = { logits: [known.logits[0] ?? [], [0.5, 9, 1]] };
    expect(failing(off)).toEqual(['logits, sharded - known', 'logits, sharded - unsharded']);
    expect(failing(off, 'unsharded')).toEqual(['logits, unsharded - known', 'logits, sharded - unsharded']);
    expect(failing(off, 'known')).toEqual(['logits, sharded - known', 'logits, unsharded - known']);
  });

  test.each([
    ['within the limit of 2e-3 of the largest', 8 * 1.9e-3, 0],
    ['beyond it', 8 * 2.1e-3, 2],
    ['NaN', NaN, 2],
  ])('logits: %s', (_what, delta, count) => {
    expect(failing({ logits: [known.logits[0] ?? [], [0.5, 8 - delta, 1]] })).toHaveLength(count);
  });

  test('logits that are missing fail', () => {
    expect(failing({ logits: known.logits.slice(0, 1) })).toHaveLength(2);
  });

  test.each([
    ['within the limit of 1e-3 nats per character', 0.09, 0],
    ['beyond it', 0.11, 2],
    ['the other way', -0.11, 2],
    ['NaN', NaN, 2],
  ])('loss: %s', (_what, delta, count) => {
    expect(failing({ nats: [120 + delta] })).toHaveLength(count);
  });

  test('another expert fails, but for a near tie', () => {
    expect(failing({ experts: [[[3, 0]], [[0, 2]]] })).toEqual([
      'experts, sharded - known',
      'experts, sharded - unsharded',
    ]);
    expect(failing({ experts: [[[3, 1]], [[0, 1]]] })).toEqual([]);
    expect(failing({ experts: [[[3, 1]]] })).toHaveLength(2);
  });

  test('another token of the text fails, and so does a text that is not there', () => {
    expect(failing({ text: [known.text[0] ?? [], [7, 9]] })).toHaveLength(2);
    expect(failing({ text: [] })).toContain('text, sharded - known');
  });
});

describe('on this adapter', () => {
  let gpu: Gpu;
  beforeAll(async () => void (gpu = await openGpu(testPlatform())));
  afterAll(() => gpu.destroy());
  const options = { layout: parseLayout('ep=2,pp=2'), tokens: 3, prompts: 1, windows: 1 };

  test('answers that are known wrongly fail, each of them, while the two agree', async () => {
    const model = await loadTinyMoe();
    const right = await readKnownAnswers(TINY_MOE, readBytes);
    const answers = {
      ...right,
      prompts: right.prompts.map((prompt) => ({
        ...prompt,
        last_logits: prompt.last_logits.map((logit) => 1.01 * logit),
        router_top2: prompt.router_top2.map((layer) => layer.map((pair) => pair.map((id) => (id + 1) % 16))),
        greedy_ids: prompt.greedy_ids.map((id) => id + 1),
      })),
      cross_entropy: {
        ...right.cross_entropy,
        window_nll_sums: right.cross_entropy.window_nll_sums.map((nats) => 1.01 * nats),
      },
    };
    const report = await checkModel(gpu, model, { ...options, answers });
    expect(report.pass).toBe(false);
    const wrong = report.checks.filter(({ pass }) => !pass).map(nameOf);
    const questions = ['logits', 'experts', 'text', 'cross entropy'];
    expect(wrong.sort()).toEqual(
      ['sharded', 'unsharded'].flatMap((who) => questions.map((what) => `${what}, ${who} - known`)).sort(),
    );
  });

  test('a model that cannot be run is a failed check once kernels have failed, and an error before', async () => {
    const model = await loadTinyMoe();
    const answers = await readKnownAnswers(TINY_MOE, readBytes);
    const torn = {
      ...model,
      get: () => {
        throw new Error('torn');
      },
    };
    const report = await checkModelAfter(false, gpu, torn, { ...options, answers });
    expect(report).toMatchObject({ pass: false, checks: [], error: 'torn' });
    await expect(checkModelAfter(true, gpu, torn, { ...options, answers })).rejects.toThrow('torn');
  });
});

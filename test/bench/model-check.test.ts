/** The check of a model can fail: by each of its four questions, for each pair, just beyond each limit. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkModel, checkModelAfter, logitsError, type ModelReport } from '../../src/bench/model/check.ts';
import type { KnownAnswers } from '../../src/bench/model/known-answers.ts';
import { readKnownAnswers } from '../../src/bench/model/known-answers.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { weightNames } from '../../src/model/config.ts';
import { crossEntropySum } from '../../src/reference/embedding.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { castFloat, f32Tensor, toF32 } from '../../src/tensor/tensor.ts';
import { loadTinyMoe, readBytes, TINY_MOE } from '../model/tiny-moe.ts';
import { testPlatform } from '../setup/gpu.ts';

const layout = parseLayout('ep=2,pp=2,tp=2');
const sizes = { prompts: 1, tokens: 3, windows: 1 };
/** Predictions of one short window. */
const WINDOW = 32;

let gpu: Gpu;
let model: Checkpoint;
let right: KnownAnswers;

beforeAll(async () => {
  gpu = await openGpu(testPlatform());
  model = await loadTinyMoe();
  const answers = await readKnownAnswers(TINY_MOE, readBytes);
  // A window of 32 characters in place of 256, whose loss is that of float64.
  const ids = model.tokenizer?.encode([...answers.validText].slice(0, WINDOW).join('')) ?? [];
  const { logits_TV } = referenceModel(model).forward(ids);
  const nats = crossEntropySum(logits_TV, ids.slice(1), model.config.vocabSize);
  right = { ...answers, cross_entropy: { window: WINDOW, window_nll_sums: [nats] } };
});
afterAll(() => gpu.destroy());

const check = (answers: KnownAnswers, weights = model, say?: (text: string) => void): Promise<ModelReport> =>
  checkModel(gpu, weights, { layout, answers, ...sizes, ...(say && { say }) });

/** 'logits sharded-known' for every check that failed. */
const failedOf = ({ checks }: ModelReport): string[] =>
  checks.filter(({ pass }) => !pass).map(({ what, who, against }) => `${what} ${who}-${against}`);

const ofKnown = (what: string): string[] => [`${what} sharded-known`, `${what} unsharded-known`];

type Prompt = KnownAnswers['prompts'][number];
const withPrompt = (change: (prompt: Prompt) => Partial<Prompt>): KnownAnswers => ({
  ...right,
  prompts: right.prompts.map((prompt) => ({ ...prompt, ...change(prompt) })),
});
const withLoss = (perCharacter: number): KnownAnswers => ({
  ...right,
  cross_entropy: {
    window: WINDOW,
    window_nll_sums: right.cross_entropy.window_nll_sums.map((nats) => nats + perCharacter * (WINDOW - 1)),
  },
});
/** The largest logit moved by a share of itself. */
const moved = (share: number) => (prompt: Prompt) => {
  const largest = Math.max(...prompt.last_logits.map(Math.abs));
  return { last_logits: prompt.last_logits.map((v, i) => (i === 5 ? v + share * largest : v)) };
};

describe('what is known', () => {
  test('agrees, in four questions to three pairs', async () => {
    const report = await check(right);
    expect(report).toMatchObject({ pass: true, worldSize: 4, greedyTokens: 3 });
    expect(report.checks).toHaveLength(12);
    expect(failedOf(report)).toEqual([]);
  });

  test.each<[string, string, () => KnownAnswers]>([
    ['one logit is off by 0.3 %', 'logits', () => withPrompt(moved(0.003))],
    [
      'a logit is NaN',
      'logits',
      () => withPrompt((p) => ({ last_logits: [NaN, ...p.last_logits.slice(1)] })),
    ],
    ['a logit is missing', 'logits', () => withPrompt((p) => ({ last_logits: p.last_logits.slice(1) }))],
    [
      'one token of the text is another',
      'text',
      () => withPrompt((p) => ({ greedy_ids: p.greedy_ids.map((id, i) => (i === 2 ? (id + 1) % 65 : id)) })),
    ],
    [
      'the experts of a layer are others',
      'experts',
      () =>
        withPrompt((p) => ({
          router_top2: p.router_top2.map((rows, layer) =>
            layer === 2
              ? rows.map(([a = 0, b = 0]) => [a, [0, 1, 2].find((e) => e !== a && e !== b) ?? b])
              : rows,
          ),
        })),
    ],
    ['the loss is off by 0.002 nats a character', 'cross entropy', () => withLoss(0.002)],
    ['the loss is off by -0.002 nats a character', 'cross entropy', () => withLoss(-0.002)],
  ])('fails when %s', async (_what, question, answers) => {
    const report = await check(answers());
    expect(failedOf(report)).toEqual(ofKnown(question));
    expect(report.pass).toBe(false);
  });

  test('within the limits nothing fails', async () => {
    expect(failedOf(await check(withLoss(0.0005)))).toEqual([]);
    expect(failedOf(await check(withPrompt(moved(0.001))))).toEqual([]);
  });
});

test('ranks that compute with another weight than one rank fail against both, and one rank does not', async () => {
  let isSharded = false;
  const other: Checkpoint = {
    ...model,
    get: (name) => {
      const weight = model.get(name);
      if (!isSharded || name !== weightNames.finalNorm) return weight;
      const louder = toF32(weight).map((v) => 1.02 * v);
      return castFloat(f32Tensor(weight.shape, louder), weight.dtype === 'f16' ? 'f16' : 'f32');
    },
  };
  // The step before the ranks of the layout are asked says their name.
  const report = await check(right, other, (text) => (isSharded = text.startsWith('ep=2')));
  const failed = failedOf(report);
  expect(failed).toEqual(expect.arrayContaining(['logits sharded-known', 'logits sharded-unsharded']));
  expect(failed.filter((name) => name.includes('unsharded-known'))).toEqual([]);
  expect(report.pass).toBe(false);
});

test('rows of logits of another length, or with what is no number, are without bound apart', () => {
  expect(logitsError([1, 2, 3], [1, 2])).toBe(Infinity);
  expect(logitsError([1, 2], [1, 2, 3])).toBe(Infinity);
  expect(logitsError([1, NaN], [1, 2])).toBe(Infinity);
  expect(logitsError([1, 2], [NaN, 2])).toBe(Infinity);
});

test('a model that cannot run is one more failure after kernels have failed, and an error before', async () => {
  const broken: Checkpoint = {
    ...model,
    get: () => {
      throw new Error('no weights');
    },
  };
  const options = { layout, answers: right, ...sizes };
  expect(await checkModelAfter(false, gpu, broken, options)).toMatchObject({
    pass: false,
    error: 'no weights',
  });
  await expect(checkModelAfter(true, gpu, broken, options)).rejects.toThrow('no weights');
});

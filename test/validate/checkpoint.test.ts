/** The check of a checkpoint: what it measures, what it lets pass, and what it finds in files of others. */
import { describe, expect, test } from 'vitest';
import { check, type CheckOptions, type CheckReport } from '../../src/cli/verbs/check.ts';
import { at, range } from '../../src/core/math.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { crossEntropySum } from '../../src/reference/embedding.ts';
import { renderCheckpoint } from '../../src/report/terminal/checkpoint/tables.ts';
import { castFloat, f32Tensor, tensor, type Tensor } from '../../src/tensor/tensor.ts';
import { compareChoices, rowError } from '../../src/validate/checkpoint/compare-rows.ts';
import { readHiddenFile } from '../../src/validate/checkpoint/hidden-file.ts';
import { failuresOf } from '../../src/validate/checkpoint/judge.ts';
import { LogitsAccount } from '../../src/validate/checkpoint/logits.ts';
import { folderOf } from '../model/families/checkpoints.ts';
import { testPlatform } from '../setup/gpu.ts';
import { scratchFolder } from '../cli/spawn.ts';
import { writeFile } from 'node:fs/promises';

const IDS = [5, 9, 200, 31, 7, 330];

/** What float64 gives of a fixture, as a hook in PyTorch would have written it. */
async function hookFile(name: 'glm4-moe' | 'granitemoe'): Promise<Map<string, Tensor>> {
  const model = await loadCheckpoint(folderOf(name), (path) => testPlatform().readFile(path));
  const { modelDim, vocabSize, hiddenScale = 1 } = model.config;
  const { hidden, logits_TV } = referenceModel(model).forward(IDS);
  return new Map([
    ['input_ids', tensor('i32', [1, IDS.length], Int32Array.from(IDS))],
    ...hidden.map((x_TD, i): [string, Tensor] => [
      `model.layers.${i}`,
      f32Tensor(
        [1, IDS.length, modelDim],
        Float32Array.from(x_TD, (x) => x * hiddenScale),
      ),
    ]),
    ['logits', f32Tensor([IDS.length, vocabSize], Float32Array.from(logits_TV))],
  ]);
}

async function checked(tensors: Map<string, Tensor>, options: CheckOptions): Promise<CheckReport> {
  const reference = `${await scratchFolder()}/hidden.safetensors`;
  await writeFile(reference, writeSafetensors(tensors));
  return check({ ...options, reference });
}

describe('a checkpoint', () => {
  test('with dense layers, shared experts and a correction is right on a layout, and as a file says', async () => {
    const found = await checked(await hookFile('glm4-moe'), {
      model: folderOf('glm4-moe'),
      layout: 'ep=4,tp=2',
    });
    expect(found).toMatchObject({
      pass: true,
      failures: [],
      layout: 'ep=4,pp=1,tp=2,dp=1',
      tokens: IDS.length,
    });
    expect(found.layers.map(({ routed }) => routed)).toEqual([false, true, true]);
    for (const { oneRank, layout, reference, routed } of found.layers) {
      for (const error of [
        oneRank?.error,
        layout.error,
        layout.errorSoFar,
        reference?.float64,
        reference?.device,
      ]) {
        expect(error).toBeLessThan(1e-5);
      }
      expect(layout.choices).toEqual({
        tokens: routed ? 6 : 0,
        equal: routed ? 6 : 0,
        nearTies: 0,
        wrong: 0,
      });
    }
    const model = await loadCheckpoint(folderOf('glm4-moe'), (path) => testPlatform().readFile(path));
    const { logits_TV } = referenceModel(model).forward(IDS);
    const perplexity = Math.exp(
      crossEntropySum(logits_TV, IDS.slice(1), model.config.vocabSize) / (IDS.length - 1),
    );
    const { float64, oneRank, layout } = found.ends;
    expect(float64.perplexity / perplexity).toBeCloseTo(1, 9);
    expect(layout.perplexity / perplexity).toBeCloseTo(1, 4);
    expect(oneRank).toMatchObject({ error: expect.closeTo(0, 5) as number });
    const lines = renderCheckpoint(found);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.at(-1)).toBe('passes: everything within 0.002');
  });

  test('whose file has another layer is told which; multipliers are those of the file', async () => {
    const tensors = await hookFile('granitemoe');
    const second = at([...tensors], 2);
    second[1].data[3] = 1e3;
    const found = await checked(tensors, { model: folderOf('granitemoe'), layout: 'ep=1' });
    expect(found.failures).toEqual([
      expect.stringMatching(/^layer 1 in float64 beside the file is off by 1/),
      expect.stringMatching(/^layer 1 on the device beside the file/),
    ]);
    expect(found.layers.map(({ reference }) => (reference?.float64 ?? NaN) < 1e-6)).toEqual([
      true,
      false,
      true,
    ]);
  });
});

test('row errors are of the worst row, and NaN is one', () => {
  expect(rowError([1, 2, 30, 40], [1, 2.5, 30, 41], 2)).toBeCloseTo(0.2);
  expect(rowError([1, NaN], [1, 2], 2)).toBe(Infinity);
  expect(rowError([1], [1, 2], 2)).toBe(Infinity);
});

test('choices are equal in any order; others are near ties or wrong', () => {
  const found = compareChoices([1, 0, 2, 3, 4, 5], [0, 1, 2, 4, 4, 6], [1, 1e-7, 0.1], 1e-5);
  expect(found).toEqual({ tokens: 3, equal: 1, nearTies: 1, wrong: 1 });
});

test('logits in pieces give the perplexity of all', () => {
  const ids = [1, 0, 3];
  const rows = range(15).map((i) => Math.sin(3 * i) * 4);
  const account = new LogitsAccount(ids);
  for (const [first, count] of [
    [0, 2],
    [2, 3],
  ] as const) {
    const part = ids.flatMap((_, t) => rows.slice(t * 5 + first, t * 5 + first + count));
    account.add(part, part, first, count);
  }
  const nats = crossEntropySum(Float64Array.from(rows), [0, 3], 5);
  expect(account.perplexity).toBeCloseTo(Math.exp(nats / 2), 10);
  expect(account.error).toBe(0);
});

test('what is off is a failure, a near tie and what follows it is none', () => {
  const good = { tokens: 4, equal: 4, nearTies: 0, wrong: 0 };
  const layer = { error: 1e-6, errorSoFar: 1e-6, choices: good, choicesSoFar: good };
  const of = (changes: Partial<typeof layer>[], error = 1e-6) =>
    failuresOf(
      {
        tokens: 4,
        layers: changes.map((change, i) => ({
          ...{ layer: i, routed: true, oneRank: undefined, reference: undefined },
          layout: { ...layer, ...change },
        })),
        ends: {
          float64: { perplexity: 2 },
          oneRank: { refused: 'too large' },
          layout: { error, perplexity: 2 },
        },
        reference: undefined,
      },
      { tolerance: 1e-3, reference: 1e-3 },
    );
  expect(of([{}, {}])).toEqual([]);
  expect(of([{}, { error: NaN }])).toEqual([expect.stringMatching(/layer 1 on the layout is off by NaN/)]);
  expect(of([{ choices: { ...good, equal: 3, wrong: 1 } }])).toEqual([
    expect.stringMatching(/1 of 4 tokens/),
  ]);
  expect(of([{}], 0.1)).toEqual(['the logits on the layout are off by 0.10']);
  const tie = { choicesSoFar: { ...good, equal: 3, nearTies: 1 } };
  expect(of([tie, { errorSoFar: 0.5 }], 0.1)).toEqual([]);
});

describe('a file of hidden states', () => {
  const config = { numLayers: 2, modelDim: 2, vocabSize: 3, name: 'm' } as Parameters<
    typeof readHiddenFile
  >[2];
  const rows = (dtype: 'f32' | 'bf16' = 'f32') =>
    castFloat(f32Tensor([2, 2], new Float32Array([1, 2, 3, 4])), dtype);
  const read = (tensors: Record<string, Tensor>) => readHiddenFile(writeSafetensors(tensors), 'h', config);

  test('is read by the names of modules, and as transformers numbers states', () => {
    expect([...read({ 'layers.0': rows(), layer_1: rows() }).layers.keys()].sort()).toEqual([0, 1]);
    const states = read({
      'hidden_states.0': rows(),
      'hidden_states.1': rows('bf16'),
      'hidden_states.2': rows(),
    });
    expect([[...states.layers.keys()], states.halves]).toEqual([[0], true]);
  });

  test.each([
    [{ weight: rows() }, /holds no hidden states of layers/],
    [{ 'layers.2': rows() }, /has layers 0 to 1/],
    [{ 'layers.0': rows(), 'model.layers.0': rows() }, /tells layer 0 twice/],
    [{ 'layers.0': f32Tensor([2, 3], new Float32Array(6)) }, /has shape \[2, 3\]; .* must be \[tokens, 2\]/],
    [
      { 'layers.0': rows(), input_ids: tensor('i32', [3], Int32Array.of(1, 2, 3)) },
      /3 input_ids and .* 2 tokens/,
    ],
  ])('is refused: %#', (tensors, message) => {
    expect(() => read(tensors as unknown as Record<string, Tensor>)).toThrow(ConfigError);
    expect(() => read(tensors as unknown as Record<string, Tensor>)).toThrow(message);
  });
});

test.each<[CheckOptions, RegExp]>([
  [{ text: '' }, /the text is empty/],
  [{ tolerance: 0 }, /tolerance \(0\) must be more than 0/],
  [{ tokens: 0 }, /tokens \(0\)/],
  [{ text: 'a'.repeat(300) }, /300 tokens; the model was trained for 256/],
  [{ layout: 'ep=3' }, /ep \(3\) does not divide/],
  [{ model: './nowhere' }, /no model folder/],
  [{ reference: './nowhere' }, /cannot read .*nowhere/],
])('%j is refused', async (options, message) => {
  await expect(check(options)).rejects.toThrow(message);
});

/** The commands as functions: what they give and what they refuse. */
import { describe, expect, test } from 'vitest';
import { bench } from '../../src/cli/verbs/bench.ts';
import { doctor } from '../../src/cli/verbs/doctor.ts';
import { generate, type GenerateOptions } from '../../src/cli/verbs/generate.ts';
import { layout } from '../../src/cli/verbs/layout.ts';
import { validate } from '../../src/cli/verbs/validate.ts';
import { storedValues } from '../../src/model/stored-weights.ts';
import { referenceModel } from '../../src/reference/forward.ts';
import { renderDoctor } from '../../src/report/terminal/doctor.ts';
import { knownAnswers, loadTinyMoe } from '../model/tiny-moe.ts';

describe('doctor', () => {
  test('finds an adapter, its clock and its latencies', async () => {
    const found = await doctor();
    expect(found.facts.name).not.toBe('');
    expect(found.versions).toMatchObject({ node: process.versions.node });
    expect(found.readbackNs.median).toBeGreaterThan(0);
    expect(found.ceilings.filter(({ state }) => state === 'failed')).toEqual([]);
    const { flops, peak } = found.longestDispatch;
    const fma = found.ceilings.find(({ name }) => name === 'f32 multiply-add');
    expect(peak).toEqual({ source: 'measured', flopsPerSecond: fma?.state === 'measured' && fma.value });
    expect(flops).toBe(peak.flopsPerSecond / 2);
    const lines = renderDoctor(found);
    const assumed = { ...found, longestDispatch: { flops, peak: { ...peak, source: 'assumed' as const } } };
    expect(renderDoctor(assumed).join()).toMatch(/half a second of the assumed f32 peak/);
    expect(lines).toContain('Ceilings, measured just now');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('refuses an adapter that is not there', async () => {
    await expect(doctor({ adapter: 'nosuch' })).rejects.toThrow(/no adapter opens for "nosuch"/);
  });
});

describe('layout', () => {
  test("is the reference deployment's by default, with all its readings", async () => {
    const result = await layout();
    expect(result).toMatchObject({ layout: 'ep=16,pp=4,tp=2,dp=2', worldSize: 128, model: 'card' });
    expect(result.readings.map(({ worldSize }) => worldSize)).toContain(256);
    expect(result.ranks).toHaveLength(128);
  });

  test('follows the rank that is named', async () => {
    const { exampleRank, groups } = await layout({ rank: 37 });
    expect(exampleRank).toBe(37);
    for (const { ranks } of groups) expect(ranks).toContain(37);
    expect(groups.find(({ axis }) => axis === 'tp')?.ranks).toEqual([36, 37]);
  });

  test('reads the shape of a checkpoint by its path', async () => {
    expect(await layout({ layout: 'ep=4', preset: 'bench/models/tiny-moe' })).toMatchObject({
      model: 'tiny-moe',
      worldSize: 4,
    });
  });

  test.each([
    [{ gpus: 256 }, /256 GPUs do not match the layout .* which Moebius does not run/s],
    [{ preset: 'mixtrall' }, /no model preset "mixtrall"/],
    [{ preset: './nowhere' }, /cannot read .*nowhere\/config.json: there is no such file/],
    [{ rank: 128 }, /rank \(128\) is not in this layout; .* has ranks 0 to 127/],
    [{ layout: 'ep=16,xp=2' }, /sets "xp", which is no axis/],
  ])('refuses %j', async (options, message) => {
    await expect(layout(options)).rejects.toThrow(message);
  });
});

describe('generate', () => {
  test('gives the known text on all 128 ranks, and streams it', async () => {
    const [prompt] = (await knownAnswers()).prompts;
    if (prompt === undefined) throw new Error('no prompt');
    let streamed = '';
    const result = await generate({ prompt: prompt.text, tokens: 8, onText: (text) => (streamed += text) });
    expect(result).toMatchObject({
      promptIds: prompt.ids,
      ids: prompt.greedy_ids.slice(0, 8),
      text: prompt.greedy_text.slice(0, 8),
      worldSize: 128,
      hostSyncsInLayers: 0,
    });
    expect(streamed).toBe(result.text);
    expect(result.lastLogits).toHaveLength(65);
    expect(result.timing.clock).toBe('host');
  });

  test('continues as float64 does with the same weights in few bits', async () => {
    const model = await loadTinyMoe();
    const result = await generate({ prompt: 'ROMEO:', tokens: 6, layout: 'ep=2,tp=2', weights: 'int4' });
    expect(result.weights).toBe('int4');
    expect(result.ids).toEqual(referenceModel(storedValues(model, 'int4')).generate(result.promptIds, 6));
  });

  test('samples the same text from the same seed', async () => {
    const options = { prompt: 'O', tokens: 12, temperature: 1, layout: 'ep=1' };
    const [a, b, c] = [
      await generate({ ...options, seed: 3 }),
      await generate({ ...options, seed: 3 }),
      await generate({ ...options, seed: 4 }),
    ];
    expect(a.text).toBe(b.text);
    expect(a.text).not.toBe(c.text);
  });

  const good: GenerateOptions = { prompt: 'ROMEO:', tokens: 4 };
  test.each<[string, Partial<GenerateOptions>, RegExp]>([
    ['an empty prompt', { prompt: '' }, /prompt is empty/],
    [
      'a character outside of the vocabulary',
      { prompt: 'caf\u00e9' },
      /character "é" at position 3 is not in the vocabulary/,
    ],
    ['no tokens', { tokens: 0 }, /tokens \(0\) must be a whole number, 1 or more/],
    ['half a token', { tokens: 1.5 }, /tokens \(1\.5\)/],
    [
      'more than the model has positions',
      { tokens: 251 },
      /make 257 positions; .* 256\. Shorten one of them by 1\./,
    ],
    ['a negative temperature', { temperature: -0.5 }, /temperature \(-0\.5\)/],
    ['NaN as temperature', { temperature: NaN }, /temperature \(NaN\)/],
    [
      'a layout that the model does not fit',
      { layout: 'ep=32' },
      /ep \(32\) does not divide numExperts \(16\) of tiny-moe/,
    ],
    [
      'a dtype that is not known',
      { weights: 'int3' as never },
      /weights \(int3\) must be one of stored, f32, f16, bf16, int8, int4, mxfp4/,
    ],
    ['a folder that is not there', { model: 'nowhere' }, /there is no model folder nowhere/],
    ['a file as folder', { model: 'package.json' }, /package\.json is a file; name the folder/],
    ['a folder without a model', { model: 'src' }, /cannot read .*config\.json/],
    ['an adapter that is not there', { adapter: 'nosuch' }, /no adapter opens for "nosuch"/],
  ])('refuses %s', async (_what, change, message) => {
    await expect(generate({ ...good, ...change })).rejects.toThrow(message);
  });
});

describe('validate', () => {
  test('one family: all its variants, and no model', async () => {
    const family = 'rms-norm';
    const result = await validate({ family, quick: true });
    expect(result).toMatchObject({ pass: true, model: null });
    expect(result.families).toMatchObject([{ family, failed: 0 }]);
    const { cases = 0, runs = 0 } = result.families[0] ?? {};
    expect(runs).toBeGreaterThan(cases);
    expect(result.families[0]?.worstShare).toBeLessThanOrEqual(1);
  });

  test('refuses an unknown family', async () => {
    await expect(validate({ family: 'matmull' })).rejects.toThrow(
      /no kernel family "matmull" \(did you mean "matmul"\?\)/,
    );
  });

  test('refuses a layout that the model does not fit', async () => {
    await expect(validate({ layout: 'pp=9' })).rejects.toThrow(/pp \(9\)/);
  });
});

test('bench refuses a wrong layout and an idle recording before anything is measured', async () => {
  await expect(bench({ layout: 'tp=3' })).rejects.toThrow(/tp \(3\)/);
  await expect(bench({ family: ['rope'], recordRouting: 'trace.json' })).rejects.toThrow(
    /--record-routing would do nothing: with --family/,
  );
});

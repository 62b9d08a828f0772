/** What a rank of a cluster would hold, as `moebius layout` tells it: no device anywhere. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { layout as layoutVerb } from '../../src/cli/verbs/layout.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { at } from '../../src/core/math.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { GPU_TRAITS } from '../../src/memory/device-traits.ts';
import { planEngine } from '../../src/memory/engine-plan.ts';
import { explainMemory, renderMemory } from '../../src/memory/explain.ts';
import { rankMemory, totalBytes } from '../../src/memory/lists.ts';
import { modelWith } from '../layout/support.ts';
import { SMALL } from '../model/small-config.ts';

const on = (text: string, changes = {}) => planLayout(parseLayout(text), modelWith(changes));

test('one sequence for each attention group, every stage by its fullest rank', () => {
  const layout = on('ep=4,pp=4,tp=2,dp=2');
  const told = explainMemory(layout);
  expect(told).toMatchObject({ maxSequences: 4, maxLength: 2048, maxStepTokens: 512, weightDtype: 'f32' });
  expect(told.stages.map(({ stage }) => stage)).toEqual([0, 1, 2, 3]);
  const plan = planEngine(layout, told, GPU_TRAITS);
  for (const { rank, total } of told.stages) {
    expect(total).toBe(totalBytes(rankMemory(plan, GPU_TRAITS, rank)));
  }
  // 4 layers, keys and values of one slot: 2,048 positions, 8 heads of 64 in f32.
  expect(at(told.stages, 1).kvCache).toBe(4 * 2 * 2048 * 8 * 64 * 4);
});

test('dtypes and limits count', () => {
  const layout = on('ep=4,pp=2,tp=2');
  const [f32, few] = [
    explainMemory(layout),
    explainMemory(layout, { weightDtype: 'int4', cacheDtype: 'f16', maxLength: 100, maxSequences: 6 }),
  ].map(({ stages }) => at(stages, 1));
  // 6 sequences on 2 groups: 3 slots.
  expect(few?.kvCache).toBe(8 * 2 * 3 * 100 * 8 * 64 * 2);
  // 4 bits and a scale in f32 for 32 of them, against 32 bits; gate and norms stay.
  const ratio = (few?.weights ?? 0) / (f32?.weights ?? 1);
  expect(ratio).toBeGreaterThan(5 / 32);
  expect(ratio).toBeLessThan(5.1 / 32);
});

test('stages that hold as much share a line', () => {
  const text = renderMemory(explainMemory(on('ep=4,pp=4,tp=2,dp=2')));
  expect(text.split('\n').map((line) => line.trim().split(/ {2,}/)[0])).toEqual([
    'Memory of the fullest rank, on a GPU of its own',
    'stage',
    '0',
    '1-2',
    '3',
    'For 4 sequences of 2048 positions over all replicas, 512 new tokens of one at',
    'once; weights in f32, cache in f32.',
  ]);
  expect(text).not.toMatch(/.{81}/);
});

test.each([
  [{ maxLength: 5000 }, /maxLength 5000 exceeds the 4096 positions/],
  [{ maxSequences: 0 }, /maxSequences is 0/],
  [{ weightDtype: 'int5' as 'int4' }, /weightDtype \(int5\) must be one of f32, f16/],
])('%j is refused', (sizing, message) => {
  expect(() => explainMemory(on('ep=4'), sizing)).toThrow(ConfigError);
  expect(() => explainMemory(on('ep=4'), sizing)).toThrow(message);
});

test('blocks that share a scale must be whole, also of a part of the heads', () => {
  const narrow = on('ep=4,tp=4', { numHeads: 4, numKvHeads: 4, headDim: 48 });
  expect(() => explainMemory(narrow, { weightDtype: 'mxfp4' })).toThrow(/48 values per row; mxfp4/);
  expect(explainMemory(narrow, { weightDtype: 'int8' }).stages).toHaveLength(1);
});

test('a layout on which no engine can be made is explained, unless its memory was asked for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-'));
  const preset = join(folder, 'config.json');
  // 1,024 experts of 4,096 x 2,048 are 2^33 values, and 2^32 on each of two ranks.
  const huge = { hidden_size: 2048, intermediate_size: 4096, num_local_experts: 1024 };
  writeFileSync(preset, JSON.stringify({ ...SMALL, ...huge }));
  const { memory, worldSize } = await layoutVerb({ layout: 'ep=2', preset });
  expect(worldSize).toBe(2);
  expect(memory).toEqual({ refused: expect.stringMatching(/fewer than 2\^32/) as string });
  await expect(layoutVerb({ layout: 'ep=2', preset, cache: 'f32' })).rejects.toThrow(/fewer than 2\^32/);
  rmSync(folder, { recursive: true });
});

test('the verb takes sequences, length and dtypes', async () => {
  const options = { layout: 'ep=8,tp=2', sequences: 9, length: 77, weights: 'int8', cache: 'f16' } as const;
  const { memory } = await layoutVerb(options);
  expect(memory).toMatchObject({
    ...{ maxSequences: 9, maxLength: 77, maxStepTokens: 77, weightDtype: 'int8', cacheDtype: 'f16' },
  });
  await expect(layoutVerb({ sequences: 1.5 })).rejects.toThrow(ConfigError);
});

/** What overflow costs in quality: between no capacity, which is the known loss, and no expert at all. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { routingQuality } from '../../../src/cli/verbs/routing/quality.ts';
import { ConfigError } from '../../../src/core/errors.ts';
import { f32Tensor } from '../../../src/tensor/tensor.ts';
import { crossEntropySum } from '../../../src/reference/embedding.ts';
import { referenceModel } from '../../../src/reference/forward.ts';
import { OVERFLOW_POLICIES } from '../../../src/routing/policies.ts';
import { knownAnswers, loadTinyMoe, validText } from '../../model/tiny-moe.ts';
import { moebius, scratchFolder } from '../spawn.ts';

test('without a capacity the known loss; with room for no row that of a model without experts', async () => {
  const { rows, predictions } = await routingQuality({
    ...{ tokens: 256, policies: ['drop-position', 'next-best'], capacities: ['100', 'switch:0.001'] },
  });
  const [dropless, roomy, none, , noneBetter] = rows;
  const { window_nll_sums: known } = (await knownAnswers()).cross_entropy;
  expect(predictions).toBe(255);
  expect((dropless?.crossEntropy ?? NaN) * predictions).toBeCloseTo(known[0] ?? NaN, 3);
  expect(roomy).toMatchObject({ crossEntropy: dropless?.crossEntropy, droppedShare: 0, aboveDropless: 0 });
  const model = await loadTinyMoe();
  const bare = referenceModel({
    origin: model.origin,
    config: model.config,
    get: (name) => {
      const tensor = model.get(name);
      return /\.w2\.weight$/.test(name) ? f32Tensor(tensor.shape, new Float32Array(128 * 96)) : tensor;
    },
  });
  const ids = model.tokenizer?.encode((await validText()).slice(0, 256)) ?? [];
  const nats = crossEntropySum(bare.forward(ids).logits_TV, ids.slice(1), model.config.vocabSize);
  for (const row of [none, noneBetter]) {
    expect(row).toMatchObject({ capacityRows: 0, droppedShare: 1, droppedShareOfLayers: [1, 1, 1, 1] });
    expect((row?.crossEntropy ?? NaN) * predictions).toBeCloseTo(nats, 6);
  }
});

test('a table of all policies, as JSON and as a drawing; what waits and is served costs nothing', async () => {
  const plot = join(await scratchFolder(), 'quality.svg');
  const args = ['--tokens', '64', '--capacity', '1,2', '--micro-batches', '2', '--plot', plot, '--json'];
  const { code, stdout } = await moebius('routing', '--quality', ...args);
  expect(code).toBe(0);
  const { rows } = JSON.parse(stdout) as Awaited<ReturnType<typeof routingQuality>>;
  expect(rows).toHaveLength(1 + 2 * (OVERFLOW_POLICIES.length - 1));
  for (const { policy, droppedShare, waitedShare, movedShare, slots, source } of rows) {
    expect(source).toBe('float64 reference');
    expect(slots).toBe(policy === 'spill' ? 32 : 16);
    expect(waitedShare > 0 && policy !== 'carry').toBe(false);
    expect(movedShare > 0 && !['next-best', 'spill'].includes(policy)).toBe(false);
    expect(droppedShare >= 0 && droppedShare < 1).toBe(true);
  }
  const of = (policy: string) => rows.filter((row) => row.policy === policy)[0];
  // The same rows are too many; what is kept of them differs.
  expect(of('drop-score')?.droppedShareOfLayers[0]).toBe(of('drop-position')?.droppedShareOfLayers[0]);
  expect(of('drop-score')?.massLostShare).toBeLessThan(of('drop-position')?.massLostShare ?? NaN);
  expect(of('next-best')?.droppedShare).toBeLessThan(of('drop-position')?.droppedShare ?? NaN);
  expect(of('carry')?.waitedShare).toBeGreaterThan(0);
  const drawing = await readFile(plot, 'utf8');
  expect(drawing).toMatch(/^<svg .*aria-label="What overflow costs tiny-moe"/);
  for (const { policy } of rows.slice(1)) expect(drawing).toContain(policy);
});

test.each([
  [{ capacities: ['megatron:0'] }, /megatron forbids zero/],
  [{ capacities: [] }, /there are 0 capacities/],
  [{ policies: ['dropp'] }, /no overflow policy "dropp"/],
  [{ tokens: 5000 }, /tokens \(5000\) must be a whole number, from 2 to 4096/],
  [{ tokens: 1 }, /tokens \(1\)/],
  [{ slots: 8 }, /slots \(8\)/],
  [{ microBatches: 0 }, /micro-batches \(0\)/],
])('%j is refused', async (options, message) => {
  const attempt = routingQuality(options);
  await expect(attempt).rejects.toThrow(ConfigError);
  await expect(attempt).rejects.toThrow(message);
});

test('called off between two rows', async () => {
  const signal = AbortSignal.abort();
  await expect(routingQuality({ tokens: 8, signal })).rejects.toMatchObject({ name: 'AbortError' });
});

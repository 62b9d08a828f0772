import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { generate } from '../../../src/cli/verbs/generate.ts';
import { readTraces } from '../../../src/cli/verbs/routing/load-trace.ts';
import { routing, type RoutingOptions } from '../../../src/cli/verbs/routing/routing.ts';
import { ConfigError } from '../../../src/core/errors.ts';
import { sum } from '../../../src/core/math.ts';
import { OVERFLOW_POLICIES } from '../../../src/routing/policies.ts';
import { writeTrace } from '../../../src/routing/trace/trace.ts';
import { knownAnswers } from '../../model/tiny-moe.ts';
import { moebius, scratchFolder } from '../spawn.ts';

const LAW = 'bench/data/routing/esft-deepseek-v2-lite-law-ids.txt';
const still = (options: Partial<RoutingOptions>) =>
  routing({ trace: 'zipf:1.2', time: false, tokens: 512, ...options });

test('every policy is told on a made-up trace, and rows add up', async () => {
  const report = await still({});
  expect(report.policies.map(({ policy }) => policy)).toEqual(OVERFLOW_POLICIES);
  for (const { rows, loadOfRanks, loadOfExperts, droppedShare } of report.policies) {
    expect(rows.kept + rows.dropped).toBe(1024);
    expect([sum(loadOfRanks), sum(loadOfExperts)]).toEqual([rows.kept, rows.kept]);
    expect(droppedShare).toBe(rows.dropped / 1024);
  }
  expect(report.policies[0]?.layerError).toBe(0);
});

test("DeepSeek-V2-Lite's recorded ids, their most uneven layer, with replicas", async () => {
  const report = await still({
    trace: LAW,
    layout: 'ep=8',
    balancer: 'placer-weighted',
    policies: ['dropless', 'spill'],
  });
  expect(report).toMatchObject({
    experts: 64,
    topk: 6,
    ranks: 8,
    slots: 72,
    trace: { ids: 'recorded', scores: 'assumed' },
  });
  expect(report.balance.after).toBeLessThan(1.02);
  expect(report.balance.before).toBeGreaterThan(1.3);
});

test('the bias controller has the made-up routing below 1.10', async () => {
  const { bias, balance, policies } = await still({ balancer: 'bias', tokens: 8192, policies: ['dropless'] });
  expect(balance.before).toBeGreaterThan(4);
  expect(policies[0]?.maxOverMean.experts).toBeLessThan(1.1);
  expect(bias?.firstBelow).toBeLessThan(200);
});

test('the layer is timed on an adapter under each load', async () => {
  const { policies, adapter } = await routing({
    trace: 'zipf:1.2',
    tokens: 256,
    width: 32,
    expertWidth: 32,
    policies: ['dropless', 'drop-position'],
  });
  expect(adapter?.name).toMatch(/llvmpipe|SwiftShader/);
  for (const { time } of policies)
    expect(time?.rows.allRanks).toBeGreaterThanOrEqual(time?.rows.fullestRank ?? NaN);
});

test('an empty batch is a defined result', async () => {
  const report = await still({ tokens: 0 });
  expect(report.policies.every(({ rows }) => rows.offered === 0)).toBe(true);
});

test('--json and --plot', async () => {
  const plot = join(await scratchFolder(), 'load.svg');
  const args = ['--tokens', '128', '--no-time', '--plot', plot, '--json', '--policy', 'dropless,carry'];
  const { code, stdout } = await moebius('routing', ...args);
  expect(code).toBe(0);
  expect(await readFile(plot, 'utf8')).toMatch(/^<svg .*aria-label="Routing of zipf:1.2"/);
  expect((JSON.parse(stdout) as { policies: unknown[] }).policies.length).toBe(2);
});

describe('what cannot be is refused', () => {
  test.each<[Partial<RoutingOptions>, RegExp]>([
    [{ trace: 'zpf:1' }, /no generator "zpf" \(did you mean "zipf"/],
    [{ capacity: 'megatron:0' }, /megatron forbids zero and less/],
    [{ capacity: 'megatron:-1:rank' }, /forbids/],
    [{ capacity: 'megatron:x' }, /convention, factor, scope/],
    [{ capacity: 'gshard:1' }, /no capacity convention "gshard"/],
    [{ policies: ['drop'] }, /no overflow policy "drop"/],
    [{ balancer: 'placr' }, /did you mean "placer"/],
    [{ balancer: 'placer', slots: 8 }, /slot for every expert/],
    [{ slots: 32 }, /none makes no replicas/],
    [{ balancer: 'optimum', slots: 48 }, /two slots a rank/],
    [{ topk: 17 }, /topK \(17\)/],
    [{ tokens: 2 ** 18 }, /tokens \(262144\)/],
    [{ trace: LAW, experts: 16 }, /a trace of 64 experts and top-6, not of 16/],
    [{ trace: LAW, topk: 2 }, /not of 64 and top-2/],
    [{ trace: LAW, layer: 99 }, /no layer 99/],
    [{ trace: LAW, balancer: 'bias' }, /needs the router's scores of all experts/],
    [{ trace: 'package.json' }, /is no routing trace/],
    [{ layer: 1 }, /--layer would do nothing/],
    [{ layout: 'ep=8000' }, /more ranks than the 4096/],
  ])('%o', async (options, message) => {
    const attempt = still(options);
    await expect(attempt).rejects.toThrow(ConfigError);
    await expect(attempt).rejects.toThrow(message);
  });

  test('a hostile file, within a second', async () => {
    const folder = await scratchFolder();
    const deep = join(folder, 'deep.json');
    await writeFile(deep, '{"format":'.repeat(100_000));
    await expect(still({ trace: deep })).rejects.toThrow(ConfigError);
    const large = join(folder, 'large.json');
    await writeFile(large, Buffer.alloc(17 * 2 ** 20, ' '));
    await expect(still({ trace: large })).rejects.toThrow(ConfigError);
    const steering = join(folder, 'steering.json');
    const layers = [{ layer: 0, name: '\u001b[2J', numTokens: 1, count_E: [1] }];
    await writeFile(steering, writeTrace({ model: 'm', source: '', numExperts: 1, topK: 1, layers }));
    expect((await still({ trace: steering })).trace.name).not.toContain('\u001b');
  });
});

test("the bundled model's own trace has the counts that its reference has", async () => {
  const known = (await knownAnswers()).expert_counts;
  const [trace] = await readTraces('bench/data/routing/tiny-moe.json');
  expect(trace?.layers.map(({ count_E }) => count_E)).toEqual(known.counts);
  const report = await still({ trace: 'tiny-moe', layer: 3, tokens: 4096 });
  expect(report).toMatchObject({ tokens: 4096, trace: { name: 'tiny-moe, layer 3', ids: 'recorded' } });
  expect(report.policies[0]?.loadOfExperts).toEqual(known.counts[3]);
});

test('generate records the experts of all its tokens, and routing replays them', async () => {
  const recordRouting = join(await scratchFolder(), 'trace.json');
  await generate({ prompt: 'ROMEO:', tokens: 3, layout: 'ep=4', recordRouting });
  const report = await still({ trace: recordRouting, layer: 2, layout: 'ep=4' });
  expect(report).toMatchObject({
    experts: 16,
    topk: 2,
    tokens: 8,
    trace: { name: 'tiny-moe, layer 2', ids: 'recorded' },
  });
});

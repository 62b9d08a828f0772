/** The whole bench, small: its result is what the schema says, and its report fits a terminal. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { BenchResult } from '../../src/bench/result.ts';
import { requirePass, runBench } from '../../src/bench/run.ts';
import { readKnownAnswers } from '../../src/bench/model/known-answers.ts';
import { openGpu } from '../../src/gpu/gpu.ts';
import { at, range, sum } from '../../src/core/math.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { RoutingRecorder } from '../../src/runtime/record-routing.ts';
import type { StepResult } from '../../src/runtime/step/step.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { renderBench } from '../../src/report/terminal/bench/tables.ts';
import { formatResult, readResult } from '../../src/report/file/result-file.ts';
import { styleFor } from '../../src/report/terminal/style.ts';
import { visible } from '../../src/report/terminal/table.ts';
import { loadTinyMoe, readBytes, TINY_MOE } from '../model/tiny-moe.ts';
import { testPlatform } from '../setup/platform.ts';

let result: BenchResult;
let routed: StepResult | undefined;

beforeAll(async () => {
  const gpu = await openGpu(testPlatform());
  result = await runBench(gpu, {
    model: await loadTinyMoe(),
    answers: await readKnownAnswers(TINY_MOE, readBytes),
    checkpoint: await readBytes(`${TINY_MOE}/model.safetensors`),
    layout: parseLayout('ep=4,pp=2,tp=2,dp=2'),
    quick: true,
    // Enough on any machine: rounds and passes end it.
    seconds: 600,
    versions: {},
    commit: null,
    live: { routed: (first) => void (routed = first) },
    only: { families: ['rope', 'internal'] },
    sizes: {
      ...{ prompts: 1, tokens: 3, windows: 1, sequences: 16, tokensPerSequence: 2, passes: 1, rounds: 3 },
      ...{ hostMs: 1, ceilingNs: 2e8, otherChecksEndNs: 0, otherRowsEndNs: 0, growthEndNs: 0 },
    },
  });
  gpu.destroy();
});

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

test('passes, and says what each number is', () => {
  expect(() => requirePass(result)).not.toThrow();
  expect(result.pass).toBe(true);
  expect(result.sources).toMatchObject({ kernels: 'measured', target: 'modelled' });
  expect(result.forward?.sharded).toMatchObject({ worldSize: 16, hostSyncsPerLayer: 0 });
  expect(result.rates?.tokensPerMsPerGpu).toBeGreaterThan(0);
  const timed = result.kernels.filter(({ timing }) => timing.state === 'measured');
  expect(timed.every(({ roof }) => roof !== undefined)).toBe(true);
});

test('a software adapter never yields a verdict on the target', () => {
  if (result.adapter.facts.kind === 'gpu') return;
  expect(result.card).toBeNull();
  expect(result.verdict.judgements.at(-1)).toEqual({
    ...{ what: 'target', state: 'open', text: 'not judged on a software adapter' },
  });
});

test('ends with its verdict, a line or two each', () => {
  const lines = renderBench(result);
  const end = lines.slice(lines.indexOf('Verdict: PASS')).filter((line) => !line.startsWith('     '));
  expect(end.map((line) => line.trim().split(/ +/)[0])).toEqual([
    ...['Verdict:', 'checks', 'timings'],
    ...['ratio', 'target'],
  ]);
});

test('every row was timed once a round', () => {
  expect(result.rounds).toMatchObject({ seed: 1, count: 3, least: 3 });
  const rows = result.kernels.map((_, row) => row);
  for (const own of result.rounds?.order ?? []) expect([...own].sort((a, b) => a - b)).toEqual(rows);
  const ends = (result.rounds?.times ?? []).flatMap(({ beginNs, endNs }) => [beginNs, endNs]);
  expect(ends).toHaveLength(6);
  expect([0, ...ends, result.wallNs]).toEqual([0, ...ends, result.wallNs].sort((a, b) => a - b));
  for (const { timing } of result.kernels) {
    expect(timing.state === 'measured' ? timing.samplesNs.length : timing).toBe(3);
  }
});

test('a cluster of the layout: every choice has its rank and expert, every rank its memory and its time', () => {
  const { cluster, worldSize = 0 } = result.forward?.sharded ?? {};
  const tokens = result.forward?.tokens ?? 0;
  // 2 choices a token, the same share of 32 tokens for each of 8 ranks.
  expect(cluster?.expertLoad.map((layer) => layer.map(sum))).toEqual(
    range(cluster?.expertLoad.length ?? 0).map(() => range(8).map(() => (2 * tokens) / 8)),
  );
  const recorder = new RoutingRecorder(presetNamed('tiny-moe').config, '');
  recorder.add({ experts: routed?.experts ?? [] });
  const counts = cluster?.expertLoad.map((layer) =>
    range(16).map((e) => sum(layer.map((row) => at(row, e)))),
  );
  expect(recorder.trace().layers.map(({ count_E }) => count_E)).toEqual(counts);
  expect(cluster?.ranks).toHaveLength(worldSize);
  expect(cluster?.ranks.every(({ weightsBytes, kvCacheBytes }) => weightsBytes > 0 && kvCacheBytes > 0)).toBe(
    true,
  );
  if (!result.adapter.features['timestamp-query']) return;
  const { pipeline } = cluster ?? {};
  // Whose rows the experts worked on is known of the first pass, which was given the same.
  expect(pipeline?.ranks.map(({ source }) => source)).not.toContain('assumed');
  for (const { computeNs, communicationNs, bubbleNs, idleNs } of pipeline?.ranks ?? []) {
    expect(computeNs + communicationNs + bubbleNs + idleNs).toBeCloseTo(pipeline?.wallNs ?? 0, 0);
  }
  const first = pipeline?.slots.filter(({ microBatch }) => microBatch === 0) ?? [];
  expect(first.map(({ stage }) => stage)).toEqual([0, 1]);
  const [begun, followed] = first;
  expect(followed?.beginNs).toBeGreaterThanOrEqual((begun?.beginNs ?? 0) + (begun?.ns ?? 0));
});

test('a probe whose result is wrong fails the run by name', () => {
  const wrong = {
    name: 'storage copy',
    footprintBytes: 4096,
    state: 'failed',
    reason: 'element 1 is 0, not 2',
  } as const;
  expect(() => requirePass({ ...result, pass: false, ceilings: [wrong] })).toThrow(
    '1 check failed: probe storage copy, 4.00 KiB: element 1 is 0, not 2',
  );
});

describe('the result file', () => {
  test('reads back whole: nothing that was written is lost', () => {
    const text = formatResult(result);
    expect(readResult(encode(text), 'result.json')).toEqual(JSON.parse(text));
    const { facts } = result.adapter;
    const forced = {
      ...result,
      adapter: { ...result.adapter, facts: { ...facts, kernels: 'gpu' as const } },
    };
    expect(readResult(encode(formatResult(forced)), 'result.json').adapter.facts.kernels).toBe('gpu');
  });

  test('keeps ceilings and the share of each row', () => {
    const stored = readResult(encode(formatResult(result)), 'result.json');
    expect(stored.ceilings).toEqual(result.ceilings);
    expect(stored.kernels.map(({ roof }) => roof)).toEqual(result.kernels.map(({ roof }) => roof));
  });

  test('of a newer version is refused', () => {
    const other = formatResult({ ...result, version: 3 as 2 });
    expect(() => readResult(encode(other), 'new.json')).toThrow(/new\.json is .* of version 3, newer than/);
  });

  test('cannot hold a number for a time that was not measured', () => {
    const [first] = result.kernels;
    if (first === undefined) throw new Error('nothing was timed');
    const lying = {
      ...first,
      timing: { state: 'measured', clock: 'gpu', samplesNs: [], repeats: 1 } as const,
    };
    const file = formatResult({ ...result, kernels: [lying] });
    expect(() => readResult(encode(file), 'x.json')).toThrow(/kernels\.0\.timing\.samplesNs/);
  });

  test('writes an error without bound as null, and reads it', () => {
    const [family] = result.checks.kernels;
    if (family === undefined) throw new Error('nothing was checked');
    const checks = {
      ...result.checks,
      kernels: [
        { ...family, worstShare: Infinity, failed: 1, failures: [{ name: 'x', variant: 'y', message: 'z' }] },
      ],
    };
    const failed = { ...result, pass: false, checks };
    expect(readResult(encode(formatResult(failed)), 'x.json').checks.kernels[0]?.worstShare).toBeNull();
    expect(() => requirePass(failed)).toThrow(/^1 check failed: .*, x, variant y: z$/);
  });
});

describe('the report', () => {
  test('fits the columns that there are, with colours or without', () => {
    for (const colour of [false, true]) {
      for (const width of [80, 120]) {
        const lines = renderBench(result, styleFor(colour, width));
        expect(lines.filter((line) => visible(line).length > width)).toEqual([]);
      }
    }
  });

  test('has all kernels, those that no op exposes alone as well', () => {
    const names = renderBench(result, styleFor(false, 200)).join('\n');
    for (const { name } of result.kernels) expect(names).toContain(name);
  });

  test('shows a failed kernel as failed, without a time', () => {
    const [first] = result.kernels;
    if (first === undefined) throw new Error('nothing was timed');
    const { family, name, variant, chosen, flops, bytes } = first;
    const timing = { state: 'failed', reason: 'over budget' } as const;
    const kernels = [{ family, name, variant, chosen, flops, bytes, timing }];
    const line = renderBench({ ...result, kernels }).find((l) => l.includes('failed'));
    expect(line).toMatch(/failed$/);
  });

  test('says so when there are no timestamps', () => {
    const { forward } = result;
    if (forward?.sharded === undefined) throw new Error('no forward pass');
    const without = { ...forward, sharded: { ...forward.sharded, profiles: [] } };
    expect(renderBench({ ...result, forward: without }).join('\n')).toContain(
      'none: the adapter has no timestamps',
    );
  });
});

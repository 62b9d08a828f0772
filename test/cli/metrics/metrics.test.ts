/** Figures of a run while it goes: there as OpenMetrics, gone when it ends, and a port that is taken is told. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import type { Progress } from '../../../src/bench/progress.ts';
import { bench } from '../../../src/cli/verbs/bench.ts';
import { generate } from '../../../src/cli/verbs/generate.ts';
import { profile } from '../../../src/cli/verbs/profile.ts';
import { withMetrics } from '../../../src/cli/metrics/server.ts';
import { packageVersion } from '../../../src/cli/package.ts';
import { stageRows, stageTimes } from '../../../src/cli/metrics/step-metrics.ts';
import type { StepSpanTime } from '../../../src/runtime/step/span.ts';

/** Where the run says that its figures are. */
function watched(): () => string {
  const write = vi.spyOn(process.stderr, 'write');
  return () => {
    const text = write.mock.calls.map(([line]) => String(line)).join('');
    return /http:\/\/127\.0\.0\.1:\d+\/metrics/.exec(text)?.[0] ?? '';
  };
}
afterEach(() => void vi.restoreAllMocks());

/** One answer as OpenMetrics 1.0 has it: families with their type before their samples, each once, and an end. */
async function samplesOf(response: Response): Promise<Map<string, number>> {
  expect(response.headers.get('content-type')).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
  const text = await response.text();
  const lines = text.trimEnd().split('\n');
  expect(lines.pop()).toBe('# EOF');
  const types = new Map<string, string>();
  const samples = new Map<string, number>();
  for (const line of lines) {
    const [, family, type] = /^# TYPE (\S+) (gauge|counter|histogram|info)$/.exec(line) ?? [];
    if (family !== undefined && type !== undefined) {
      expect(types.has(family)).toBe(false);
      types.set(family, type);
    }
    if (line.startsWith('#')) continue;
    const [, key = '', name = '', value = ''] = /^(([a-z_]+)(?:\{[^{}]*\})?) (\S+)$/.exec(line) ?? [];
    const owner = [...types].find(([of]) => name === of || SUFFIX.test(name.slice(of.length)));
    expect(owner, line).toBeDefined();
    expect(name.endsWith('_total'), line).toBe(types.get(name.replace(/_total$/, '')) === 'counter');
    expect(samples.has(key), line).toBe(false);
    expect(Number(value), line).not.toBeNaN();
    samples.set(key, Number(value));
  }
  return samples;
}
const SUFFIX = /^_(?:total|bucket|sum|count)$/;

/** Reads the figures once, when a step of the run tells what it does. */
function readWhen(wanted: RegExp, place: () => string) {
  let answer: Promise<Response> | undefined;
  const progress: Progress = {
    step: (_title, work) =>
      work((text) => {
        if (wanted.test(text)) answer ??= fetch(place());
      }),
  };
  return { progress, answer: () => answer };
}

test('a generation: tokens, latencies of stages, load of experts and queue, as long as it runs', async () => {
  const place = watched();
  const reads: Promise<Response>[] = [];
  let shown = 0;
  await generate({
    ...{ prompt: 'ROMEO:', tokens: 16, layout: 'ep=4,pp=2,tp=2,dp=1', tuning: false, metrics: 0 },
    onText: () => void (++shown === 4 && reads.push(fetch(place()))),
  });
  const answers = await Promise.all(reads);
  const texts = await Promise.all(answers.map((answer) => answer.clone().text()));
  for (const answer of answers) await samplesOf(answer);
  const last = texts.at(-1) ?? '';
  expect(last).toContain('# TYPE moebius_tokens counter');
  const valueOf = (line: RegExp): number => Number(line.exec(last)?.[1]);
  // The prompt and what has been added so far; the answer may come a step later.
  expect(valueOf(/^moebius_tokens_total (\d+)$/m)).toBeGreaterThanOrEqual(9);
  expect(valueOf(/^moebius_tokens_per_millisecond (\S+)$/m)).toBeGreaterThan(0);
  expect(valueOf(/^moebius_step_seconds_count (\d+)$/m)).toBeGreaterThanOrEqual(4);
  expect(valueOf(/^moebius_steps_waiting (\d+)$/m)).toBe(0);
  expect(valueOf(/^moebius_device_bytes (\d+)$/m)).toBeGreaterThan(1e6);
  const rows = [...last.matchAll(/^moebius_expert_rows\{stage="\d",rank="\d"\} (\d+)$/gm)];
  expect(rows).toHaveLength(2 * 4);
  // One token, its two experts, in each of four layers.
  expect(rows.reduce((sum, [, value]) => sum + Number(value), 0)).toBe(2 * 4);
  // The prompt's six and all after it, two experts each, in each of four layers.
  const taken = [...last.matchAll(/^moebius_expert_tokens_total\{layer="\d",expert="\d+"\} (\d+)$/gm)];
  const tokens = valueOf(/^moebius_tokens_total (\d+)$/m);
  expect(taken.reduce((sum, [, value]) => sum + Number(value), 0)).toBe(tokens * 2 * 4);
  const timed = [...last.matchAll(/^moebius_stage_seconds_count\{stage="(\d)"\} (\d+)$/gm)];
  expect([0, 2]).toContain(timed.length);
  await expect(fetch(place())).rejects.toThrow();
});

test('a profile: steps of before, by stage, while its rounds go', async () => {
  const { progress, answer } = readWhen(/^round 1/, watched());
  await profile({
    ...{ layout: 'ep=1', step: 'decode', batch: 1, tokens: 4, rounds: 1, roof: false, tuning: false },
    ...{ metrics: 0, progress },
  });
  const response = await answer();
  if (response === undefined) throw new Error('the rounds were never told');
  const samples = await samplesOf(response);
  expect(samples.get('moebius_run_info{verb="profile",version="' + packageVersion() + '"}')).toBe(1);
  // The first run, and the one that tells whose rows they are: a prompt and a token each. Of the rounds as many as are over by the
  // time that the answer is made.
  const steps = samples.get('moebius_steps_total') ?? NaN;
  expect(steps).toBeGreaterThanOrEqual(4);
  expect(samples.get('moebius_tokens_total')).toBeGreaterThanOrEqual(2 * (4 + 1) + (steps - 4));
  expect(samples.get('moebius_step_seconds_count')).toBe(steps);
});

test('a bench of one family: what runs, on what, and what it holds', async () => {
  const { progress, answer } = readWhen(/rope/, watched());
  await bench({ quick: true, family: ['rope'], seconds: 0.1, tuning: false, metrics: 0, progress });
  const response = await answer();
  if (response === undefined) throw new Error('its family was never told');
  const samples = await samplesOf(response);
  const names = [...samples.keys()];
  expect(names.some((name) => name.startsWith('moebius_run_info{verb="bench"'))).toBe(true);
  expect(names.some((name) => name.startsWith('moebius_adapter_info{name="'))).toBe(true);
  expect(samples.get('moebius_device_bytes')).toBeGreaterThanOrEqual(0);
  expect(samples.get('moebius_steps_total')).toBe(0);
});

test('a port that is taken: a line, before anything is run', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const work = vi.fn(() => Promise.resolve());
  await expect(withMetrics(port, 'bench', work)).rejects.toThrow(
    `port ${port} cannot be had for --metrics: another program has it. Name another, or 0 for a free one.`,
  );
  expect(work).not.toHaveBeenCalled();
  other.close();
  await expect(profile({ metrics: 70_000 })).rejects.toThrow(/^metrics \(70000\) must be a whole number/);
});

test('the server ends with a run that fails; it answers reads of one path only', async () => {
  const place = watched();
  const failed = withMetrics(0, 'bench', async () => {
    const status = async (path: string, method = 'GET'): Promise<number> =>
      (await fetch(place().replace('/metrics', path), { method })).status;
    expect(await status('/metrics?x=1')).toBe(200);
    expect(await status('/')).toBe(404);
    expect(await status('/metrics', 'POST')).toBe(405);
    throw new Error('of its own');
  });
  await expect(failed).rejects.toThrow('of its own');
  await expect(fetch(place())).rejects.toThrow();
});

test('times of a stage are sums of its passes, rows of a rank those of all layers', () => {
  const span = (stage: number, ns: number | undefined) => ({ tag: { stage }, ns }) as StepSpanTime;
  expect([...stageTimes({ spans: [span(0, 5), span(1, 7), span(0, 6), span(1, undefined)] })]).toEqual([
    [0, 11],
    [1, 7],
  ]);
  const rows = (layer: number, ...rows: number[]) => ({ stage: 0, layer, microBatch: 0, rows });
  expect([...stageRows({ expertRows: [rows(0, 1, 2), rows(1, 10, 20)] })]).toEqual([[0, [11, 22]]]);
  expect([...stageRows({})]).toEqual([]);
});

/** What the verb profiles: ops and generations, what is refused, and how it is told within one screen. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { profile, type ProfileReport, type ProfileVerbOptions } from '../../src/cli/verbs/profile.ts';
import { parseHTML } from 'linkedom';
import { range, sum } from '../../src/core/math.ts';
import { writeSafetensors } from '../../src/model/safetensors/safetensors.ts';
import { renderProfile, renderProfileSummary } from '../../src/report/terminal/profile/profile.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'moebius-profile-'))));
afterAll(() => rm(folder, { recursive: true }));

const quick = { rounds: 1, roof: false, tuning: false } as const;

function adds({ wallNs, rows }: ProfileReport): void {
  expect(Math.abs(sum(rows.map(({ ns }) => ns)) - wallNs)).toBeLessThanOrEqual(0.01 * wallNs);
  const other = rows.filter(({ group }) => group === 'other').map(({ ns }) => Math.abs(ns));
  expect(sum(other)).toBeLessThanOrEqual(0.05 * wallNs);
}

function fitsOneScreen(report: ProfileReport): void {
  const lines = renderProfileSummary(report);
  expect(lines.length).toBeLessThanOrEqual(24);
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(renderProfile(report).filter((line) => line.length > 80)).toEqual([]);
  expect(lines.join('\n')).toMatch(/Look here first: /);
}

describe('an op', () => {
  test('of a file: one row of the GPU with its cost', async () => {
    const path = join(folder, 'in.safetensors');
    const tensor = (shape: number[]) => f32Tensor(shape, new Float32Array(64 * 64).fill(0.5));
    await writeFile(
      path,
      writeSafetensors(
        new Map([
          ['a', tensor([64, 64])],
          ['b', tensor([64, 64])],
        ]),
        {},
      ),
    );
    const report = await profile({ ...quick, op: 'matmul', in: path });
    adds(report);
    fitsOneScreen(report);
    expect(report).toMatchObject({ what: 'op', op: 'matmul', from: path, ranks: [], parts: [] });
    const busy = report.rows.filter(({ group }) => group === 'gpu busy');
    if (report.offset === undefined) return;
    expect(busy).toMatchObject([{ name: 'matmul', operation: 'matmul', flop: 2 * 64 ** 3, calls: 1 }]);
    const [{ ns, flopsPerSecond, bytesPerSecond } = { ns: 0 }] = busy;
    expect(flopsPerSecond).toBeCloseTo((2 * 64 ** 3 * 1e9) / ns);
    expect(bytesPerSecond).toBeCloseTo((3 * 64 * 64 * 4 * 1e9) / ns);
  });

  test('of its own case, a pass per dispatch: kernels go by their names, and no cost is invented', async () => {
    const report = await profile({ ...quick, op: 'moe', detail: 'dispatch' });
    adds(report);
    fitsOneScreen(report);
    expect(report.rows.find(({ group }) => group === 'read-back')?.hostSyncs).toBe(1);
    if (report.offset === undefined) return;
    const busy = report.rows.filter(({ group }) => group === 'gpu busy');
    expect(busy.length).toBeGreaterThan(2);
    expect(busy.every(({ name }) => name.endsWith('.wgsl'))).toBe(true);
    expect(busy.filter(({ flop, flopsPerSecond }) => flop > 0 || flopsPerSecond !== undefined)).toEqual([]);
  });
});

test('a generation: prefill and decode in one account, on 128 ranks', async () => {
  const [page, trace] = [join(folder, 'page.html'), join(folder, 'trace.json')];
  const report = await profile({ ...quick, prompt: 'ROMEO:', tokens: 3, report: page, trace });
  adds(report);
  fitsOneScreen(report);
  expect(report).toMatchObject({ what: 'generate', promptTokens: 6, tokens: 3, worldSize: 128 });
  expect(report.parts.map(({ part, steps }) => [part, steps])).toEqual([
    ['prefill', 1],
    ['decode', 2],
  ]);
  const inParts = sum(report.parts.map(({ wallNs }) => wallNs));
  expect(Math.abs(inParts - report.wallNs)).toBeLessThanOrEqual(0.05 * report.wallNs);
  for (const { part, wallNs } of report.parts) {
    const own = report.rows.filter((row) => row.part === part);
    expect(Math.abs(sum(own.map(({ ns }) => ns)) - wallNs)).toBeLessThanOrEqual(0.01 * wallNs);
  }
  const html = await readFile(page, 'utf8');
  const { document } = parseHTML(html);
  const scripts = [...document.querySelectorAll('script')];
  expect(scripts.map(({ type }) => type)).toEqual(['application/json']);
  expect(JSON.parse(scripts[0]?.textContent ?? '')).toEqual(JSON.parse(JSON.stringify(report)));
  expect(html.length).toBeLessThan(1e6);
  expect(document.querySelectorAll('#account tbody tr')).toHaveLength(report.rows.length + 1);
  expect(document.querySelectorAll('#ranks tbody tr')).toHaveLength(report.ranks.length);
  expect(document.querySelector('.verdict')?.textContent).toContain('A prompt of 6 tokens and 3 more');
  const { traceEvents } = JSON.parse(await readFile(trace, 'utf8')) as { traceEvents: { name?: string }[] };
  expect(traceEvents.filter(({ name }) => name === 'choose')).toHaveLength(3);
  if (report.offset === undefined) return;
  expect(document.querySelectorAll('#pipeline svg')).toHaveLength(2);
  // Four stages, three steps of one micro-batch each.
  expect(report.pipeline.map(({ stage, step }) => [stage, step])).toEqual(
    range(4).flatMap((stage) => range(3).map((step) => [stage, step])),
  );
});

test.runIf(existsSync('/proc/self/fd'))(
  'the files of a model are closed, also of one that is refused',
  async () => {
    await expect(profile({ prompt: 'a', tokens: 1e6 })).rejects.toThrow(/positions/);
    const open = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    expect(open.filter((path) => path.endsWith('.safetensors'))).toEqual([]);
  },
);

test.each<[string, ProfileVerbOptions, RegExp]>([
  ['a model for an op', { op: 'matmul', layout: 'ep=1' }, /^--layout would do nothing: with --op an op/],
  ['tokens for an op', { op: 'matmul', tokens: 3 }, /^--tokens would do nothing/],
  ['tensors without an op', { in: 'x' }, /^--in would do nothing: it is for an op/],
  ['attributes without tensors', { op: 'gate-topk', attrs: ['k=2'] }, /^--attr would do nothing/],
  ['a batch of a generation', { prompt: 'a', batch: 2 }, /^--batch would do nothing: with --prompt/],
  ['micro-batches of one', { prompt: 'a', microBatches: 2 }, /^--micro-batches would do nothing/],
  ['an empty prompt', { prompt: '' }, /^the prompt is empty/],
  ['an unknown op', { op: 'matmull' }, /matmul/],
  [
    'too long a text',
    { prompt: 'a', tokens: 1e6 },
    /1 prompt tokens and 1000000 more make 1000001 positions/,
  ],
  ['a place that cannot be written', { report: '/no/such/folder/x' }, /Name another place with --report/],
  ['unknown weights', { weights: 'f64' as 'f32' }, /^weights \("f64"\) must be one of f32/],
])('%s is refused in a line', async (_what, options, message) => {
  await expect(profile(options)).rejects.toThrow(message);
});

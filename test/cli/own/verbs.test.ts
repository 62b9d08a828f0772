/** bench, tune and op with variants of the user's own: the examples, timed beside ours. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { bench } from '../../../src/cli/verbs/bench.ts';
import { op } from '../../../src/cli/verbs/op.ts';
import { tune } from '../../../src/cli/verbs/tune.ts';
import { attachTuning } from '../../../src/cli/tuning.ts';
import { withGpu } from '../../../src/cli/session.ts';
import { rankRegistered } from '../../../src/bench/kernels/ranking.ts';
import { writeSafetensors } from '../../../src/model/safetensors/safetensors.ts';
import { renderBench } from '../../../src/report/terminal/bench/tables.ts';
import { formatResult, readResult } from '../../../src/report/file/result-file.ts';
import * as checks from '../../../src/bench/kernels/timed-check.ts';
import * as turns from '../../../src/measure/sampling.ts';
import { f32Tensor } from '../../../src/tensor/tensor.ts';
import { scratchFolder } from '../spawn.ts';

const EXAMPLES = ['bench/examples/gemm.ts', 'bench/examples/topk.ts'];

afterEach(() => void vi.restoreAllMocks());

test('the examples are checked, timed and ranked beside what is taken by default', async () => {
  const result = await bench({ with: EXAMPLES, family: ['matmul', 'gate-topk'], quick: true, seconds: 1 });
  expect(result.checks.kernels.flatMap(({ failures }) => failures)).toEqual([]);
  expect(result.checks.registered).toMatchObject([
    { family: 'matmul', variant: 'textbook', shader: 'bench/examples/gemm.wgsl', pass: true },
    { family: 'gate-topk', variant: 'passes', shader: 'bench/examples/topk.wgsl', pass: true },
  ]);
  expect(result.checks.model).toBeNull();
  const own = result.kernels.filter(({ registered }) => registered);
  expect(new Set(own.map(({ variant }) => variant))).toEqual(new Set(['textbook', 'passes']));
  expect(own.every(({ chosen, choice }) => !chosen && choice === undefined)).toBe(true);
  expect(own.filter(({ timing }) => timing.state === 'failed')).toEqual([]);
  const ranks = rankRegistered(result.kernels);
  expect(ranks.length).toBeGreaterThan(0);
  for (const { place, of } of ranks) expect([place >= 1 && place <= of, of <= 2]).toEqual([true, true]);
  expect(readResult(new TextEncoder().encode(formatResult(result)), 'x')).toMatchObject({
    checks: { registered: [{ variant: 'textbook' }, { variant: 'passes' }] },
  });
  const text = renderBench(result).join('\n');
  expect(text).toMatch(/matmul\/textbook \(bench\/examples\/gemm\.wgsl\): \d+ cases, \d+ refused by itself/);
  expect(text).toMatch(/, your own, on [^]*place \d\s+of\s+\d\s+by\s+time/);
});

test('a wrong one is failed and not timed, though its case is', async () => {
  const folder = await scratchFolder();
  const wgsl = await readFile('bench/examples/gemm.wgsl', 'utf8');
  await writeFile(join(folder, 'gemm.wgsl'), wgsl.replace('= total;', '= 2.0 * total;'));
  const fields = `family: 'matmul', name: 'wrong', idea: 'twice', shader: './gemm.wgsl'`;
  const rest = `grid: (s, p) => [Math.ceil(p.numCols / 16), Math.ceil(p.numRows / 16), 1], refusal: ({ weightDtype }) => (weightDtype === 'f32' ? undefined : 'f32 only')`;
  await writeFile(join(folder, 'wrong.mjs'), `export default { ${fields}, ${rest} };`);
  const path = join(folder, 'wrong.mjs');
  const result = await bench({ with: [path], kernel: ['matmul/wrong'], quick: true, seconds: 1 });
  expect(result.pass).toBe(false);
  expect(result.kernels.map(({ variant, timing }) => `${variant} ${timing.state}`)).toContain('wrong failed');
  expect(result.kernels.every(({ variant }) => variant === 'wrong')).toBe(true);
  // The tuner measures only what has passed.
  const tuned = await tune({
    with: [path],
    budget: 1,
    cache: join(folder, 'tuning.json'),
    shapes: await shapesIn(folder),
  });
  expect(tuned.wrong).toMatchObject([
    { what: expect.stringMatching(/^matmul, /) as string, variant: 'wrong' },
  ]);
  expect(tuned.points.flatMap(({ evidence }) => evidence).map(({ variant }) => variant)).not.toContain(
    'wrong',
  );
});

async function shapesIn(folder: string): Promise<string> {
  const path = join(folder, 'shapes.json');
  await writeFile(path, JSON.stringify([{ op: 'matmul', dims: { M: 16, N: 64, K: 32 } }]));
  return path;
}

test('tune measures and advises it; without its module the file says so, and keeps it', async () => {
  const folder = await scratchFolder();
  const cache = join(folder, 'tuning.json');
  const shapes = await shapesIn(folder);
  // Whatever this machine does: the default is as fast as itself, and the last candidate, the user's own, the fastest.
  const { sampleInTurn } = turns;
  const { timedCheck } = checks;
  vi.spyOn(checks, 'timedCheck').mockImplementation(async (...of) => ({
    ...(await timedCheck(...of)),
    hostNs: 1,
  }));
  vi.spyOn(turns, 'sampleInTurn').mockImplementation(async (watches, options) => {
    const timings = await sampleInTurn(watches, options);
    return timings.map((t, i) => {
      if (i === timings.length - 1) return timings[0] ?? t;
      return i === timings.length - 2 && t.state === 'measured'
        ? { ...t, samplesNs: t.samplesNs.map(() => 1) }
        : t;
    });
  });
  const tuned = await tune({ with: EXAMPLES, cache, shapes, budget: 2, family: ['matmul'] });
  expect(tuned).toMatchObject({ mode: 'tuned', wrong: [], points: [{ choice: 'textbook' }] });
  vi.restoreAllMocks();

  await withGpu({}, async (gpu) => {
    const { note } = await attachTuning(gpu, { tuningFile: cache });
    expect(note).toMatch(/^tuning: 1 entry .*, of which 1 for textbook, not here: .* with --with$/);
  });
  const tensors = {
    a: f32Tensor([16, 32], new Float32Array(512).fill(0.5)),
    b: f32Tensor([64, 32], new Float32Array(2048).fill(2)),
  };
  const [input, out] = [join(folder, 'in'), join(folder, 'out')];
  await writeFile(input, writeSafetensors(tensors));
  const run = { name: 'matmul', in: input, out, check: true, tuningFile: cache };
  expect((await op(run)).variant).not.toBe('textbook');
  expect(await op({ ...run, with: EXAMPLES })).toMatchObject({
    variant: 'textbook',
    tuning: { state: 'used' },
  });

  const again = await tune({ cache, recheck: true, budget: 2 });
  expect(again).toMatchObject({
    mode: 'rechecked',
    dropped: [],
    absent: [expect.stringMatching(/: textbook$/)],
    kept: 0,
  });
  const { points } = JSON.parse(await readFile(cache, 'utf8')) as { points: { choice: string }[] };
  expect(points.map(({ choice }) => choice)).toEqual(['textbook']);
});

test('op takes it by its name, and only with its module', async () => {
  const folder = await scratchFolder();
  const [input, out] = [join(folder, 'in'), join(folder, 'out')];
  await writeFile(input, writeSafetensors({ logits: f32Tensor([2, 4], [1, 4, 2, 3, 0, 0, 5, 5]) }));
  const run = { name: 'gate-topk', in: input, out, attrs: ['k=2'], variant: 'passes', check: true };
  expect(await op({ ...run, with: EXAMPLES })).toMatchObject({
    variant: 'passes',
    checks: [{ pass: true }, { pass: true }],
  });
  await expect(op(run)).rejects.toThrow(/gate-topk has no variant "passes"\. It has: thread, workgroup\.$/);
});

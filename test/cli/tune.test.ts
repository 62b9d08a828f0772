/** `moebius tune` as a function, and what other commands make of its cache. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { Progress } from '../../src/bench/progress.ts';
import { withGpu } from '../../src/cli/session.ts';
import { seconds, tune } from '../../src/cli/verbs/tune.ts';
import { attachTuning, loadTuning } from '../../src/cli/tuning.ts';
import { defaultSubjects } from '../../src/tune/subjects.ts';
import { scratchFolder } from './spawn.ts';

async function folderWithShapes(): Promise<{ cache: string; shapes: string }> {
  const folder = await scratchFolder();
  const shapes = join(folder, 'shapes.json');
  await writeFile(shapes, JSON.stringify([{ op: 'matmul', dims: { M: 16, N: 64, K: 32 } }]));
  return { cache: join(folder, 'tuning.json'), shapes };
}

test('a corrupt cache is one warning, and is rebuilt', async () => {
  const { cache, shapes } = await folderWithShapes();
  await writeFile(cache, '{"schema": "moebius-tun');
  const warnings: string[] = [];
  const noted = await withGpu({}, (gpu) => attachTuning(gpu, { tuningFile: cache }));
  expect(noted).toMatchObject({ state: 'ignored', entries: 0 });
  const result = await tune({ cache, shapes, budget: 2, onWarning: (line) => warnings.push(line) });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^tuning cache .* is ignored: it is no whole JSON file/);
  expect(result).toMatchObject({ mode: 'tuned', path: cache, wrong: [] });

  await withGpu({}, async (gpu) => {
    const used = await attachTuning(gpu, { tuningFile: cache });
    expect(used.note).toMatch(/^tuning: \d+ entr(y|ies) of \d{4}-\d\d-\d\d \(1 shapes measured\)$/);
    expect(gpu.tuning).toMatchObject({ advice: [] });
    expect(await attachTuning(gpu, { tuningFile: cache, tuning: false })).toMatchObject({ state: 'off' });
    expect(gpu.tuning).toBeUndefined();
    expect((await loadTuning(gpu, cache))?.points).toHaveLength(1);
  });
});

test('a second run keeps what it does not measure again, and a dry run changes nothing', async () => {
  const { cache, shapes } = await folderWithShapes();
  await tune({ cache, shapes, budget: 2 });
  await writeFile(shapes, JSON.stringify([{ op: 'matmul', dims: { M: 8, N: 64, K: 32 } }]));
  await tune({ cache, shapes, budget: 2 });
  const before = await readFile(cache, 'utf8');
  expect((JSON.parse(before) as { points: unknown[] }).points).toHaveLength(2);
  expect(await tune({ cache, shapes, dryRun: true })).toMatchObject({ mode: 'dry run', points: [] });
  expect(await readFile(cache, 'utf8')).toBe(before);
  expect(await tune({ cache, recheck: true, budget: 2 })).toMatchObject({ mode: 'rechecked', wrong: [] });
});

test('what an earlier run has measured is not measured again unless asked for', async () => {
  const { cache, shapes } = await folderWithShapes();
  const first = await tune({ cache, shapes, budget: 2 });
  expect(first).toMatchObject({ resumed: 0, points: [{ family: 'matmul' }] });
  const before = await readFile(cache, 'utf8');
  expect(await tune({ cache, shapes, budget: 2 })).toMatchObject({ resumed: 1, points: [], unmeasured: [] });
  const pointsOf = (text: string): unknown => (JSON.parse(text) as { points: unknown }).points;
  expect(pointsOf(await readFile(cache, 'utf8'))).toEqual(pointsOf(before));
  expect(await tune({ cache, shapes, budget: 2, again: true })).toMatchObject({
    resumed: 0,
    points: [{ family: 'matmul' }],
  });
  // Times of another text of a shader are no evidence.
  await writeFile(cache, before.replace(/"code": "[0-9a-f]{8}"/, '"code": "00000000"'));
  expect(await tune({ cache, shapes, budget: 2 })).toMatchObject({
    resumed: 0,
    points: [{ family: 'matmul' }],
  });
});

test('each shape is kept as soon as it is measured', async () => {
  const { cache, shapes } = await folderWithShapes();
  const dims = [8, 16].map((M) => ({ op: 'matmul', dims: { M, N: 64, K: 32 } }));
  await writeFile(shapes, JSON.stringify(dims));
  const kept: number[] = [];
  const progress: Progress = {
    step: async (_title, work) => {
      const text = await readFile(cache, 'utf8').catch(() => '{"points": []}');
      kept.push((JSON.parse(text) as { points: unknown[] }).points.length);
      return work(() => undefined);
    },
  };
  await tune({ cache, shapes, budget: 10, progress });
  expect(kept).toEqual([0, 1]);
});

test.each(['package.json', 'of another adapter'])('does not overwrite a file that is %s', async (what) => {
  const { cache, shapes } = await folderWithShapes();
  await tune({ cache, shapes, budget: 1 });
  const text =
    what === 'package.json'
      ? '{"name": "mine"}'
      : (await readFile(cache, 'utf8')).replace(/"name": "[^"]*"/, '"name": "another adapter"');
  await writeFile(cache, text);
  await expect(tune({ cache, shapes, budget: 1 })).rejects.toThrow(
    /would be overwritten, and it is .*Remove it, or name another file with --tuning-file/,
  );
  expect(await readFile(cache, 'utf8')).toBe(text);
});

test.each(['/dev/full', '/proc/tuning.json', '/dev/null/tuning.json'])(
  'tries %s before it opens an adapter',
  async (cache) => {
    await expect(tune({ cache, adapter: 'nosuch' })).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(/^cannot write \/.*--tuning-file\.$/) as string,
    });
  },
);

test('what is tuned reaches a command unless it is told not to look', async () => {
  const { cache, shapes } = await folderWithShapes();
  await tune({ cache, shapes, budget: 1 });
  await withGpu({}, async (gpu) => {
    try {
      vi.stubEnv('MOEBIUS_TUNING', cache);
      expect(await attachTuning(gpu)).toMatchObject({ state: 'used', path: cache });
      // An option of `generate` that has nothing to do with it.
      expect(await attachTuning(gpu, { cache: 'f16' } as object)).toMatchObject({
        state: 'used',
        path: cache,
      });
      expect(await attachTuning(gpu, { tuning: false })).toMatchObject({ state: 'off', entries: 0 });
      expect([gpu.tuning, gpu.peak.source]).toEqual([undefined, 'assumed']);
      const other = `${cache}.none`;
      await expect(attachTuning(gpu, { tuningFile: other })).rejects.toThrow(/^there is no tuning file /);
      vi.stubEnv('MOEBIUS_TUNING', 'off');
      await loadTuning(gpu, cache).then((table) => (gpu.tuning = table));
      expect(await attachTuning(gpu)).toMatchObject({ state: 'off', entries: 0 });
      expect(gpu.tuning).toBeUndefined();
      const peakFlops = 3e10;
      await writeFile(
        cache,
        JSON.stringify({ ...(JSON.parse(await readFile(cache, 'utf8')) as object), peakFlops }),
      );
      await attachTuning(gpu, { tuningFile: cache });
      expect(gpu.peak).toEqual({ flopsPerSecond: peakFlops, source: 'measured' });
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

test('the experts come first, then attention', async () => {
  const ops = await withGpu({}, (gpu) => Promise.resolve(defaultSubjects(gpu).map(({ op }) => op)));
  const order = [...new Set(ops)];
  expect(order.slice(0, 2)).toEqual(['moe', 'attention']);
  expect(order).toContain('matmul');
  expect(order).toContain('gate-topk');
});

test('refuses what it cannot do', async () => {
  const { cache, shapes } = await folderWithShapes();
  await expect(tune({ cache, recheck: true })).rejects.toThrow(
    /nothing to re-check .* Run "moebius tune" first/,
  );
  await expect(tune({ family: ['matmull'] })).rejects.toThrow(
    /no kernel family "matmull" \(did you mean "matmul"\?\)\. Families: matmul, /,
  );
  await expect(tune({ budget: 0 })).rejects.toThrow(/budget \(0\) must be more than 0/);
  await writeFile(shapes, '[]');
  await expect(tune({ cache, shapes })).rejects.toThrow(/no list of shapes/);
});

test('times are read with their unit', () => {
  expect(['60', '90s', '2m', '0.5m'].map(seconds)).toEqual([60, 90, 120, 30]);
  for (const wrong of ['', '0', '-1', '1h', 's']) expect(() => seconds(wrong)).toThrow(/more than 0/);
});

/** `moebius tune` as a function, and what other commands make of its cache. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withGpu } from '../../src/cli/session.ts';
import { seconds, tune } from '../../src/cli/tune.ts';
import { attachTuning, loadTuning } from '../../src/cli/tuning.ts';
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
  const noted = await withGpu('auto', (gpu) => attachTuning(gpu, { tuningFile: cache }));
  expect(noted).toMatchObject({ state: 'ignored', entries: 0 });
  const result = await tune({ cache, shapes, budget: 2, onWarning: (line) => warnings.push(line) });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^tuning cache .* is ignored: it is no whole JSON file/);
  expect(result).toMatchObject({ mode: 'tuned', path: cache, wrong: [] });

  await withGpu('auto', async (gpu) => {
    const used = await attachTuning(gpu, { tuningFile: cache });
    expect(used.note).toMatch(/^tuning: \d+ entr(y|ies) of \d{4}-\d\d-\d\d \(1 shapes measured\)$/);
    expect(gpu.tuning).toBeDefined();
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

test('refuses what it cannot do', async () => {
  const { cache, shapes } = await folderWithShapes();
  await expect(tune({ cache, recheck: true })).rejects.toThrow(
    /nothing to re-check .* Run "moebius tune" first/,
  );
  await expect(tune({ family: ['gemmm'] })).rejects.toThrow(
    /no kernel family "gemmm" to tune\. Families: gemm, /,
  );
  await expect(tune({ budget: 0 })).rejects.toThrow(/budget \(0\) must be more than 0/);
  await writeFile(shapes, '[]');
  await expect(tune({ cache, shapes })).rejects.toThrow(/no list of shapes/);
});

test('times are read with their unit', () => {
  expect(['60', '90s', '2m', '0.5m'].map(seconds)).toEqual([60, 90, 120, 30]);
  for (const wrong of ['', '0', '-1', '1h', 's']) expect(() => seconds(wrong)).toThrow(/more than 0/);
});

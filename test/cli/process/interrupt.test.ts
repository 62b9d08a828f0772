/** Ctrl-C: what is finished is kept, the code is a shell's own, and a second one ends the process at once. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readResult } from '../../../src/report/file/result-file.ts';
import { commandPath, scratchFolder } from '../spawn.ts';

/** Starts `moebius`, and waits until its stderr has said `text`. */
async function startedUntil(
  text: string,
  args: readonly string[],
): Promise<{ child: ChildProcess; said: () => string }> {
  const env = { ...process.env, CI: 'true' };
  const child = spawn(process.execPath, [commandPath(), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  let stdout = '';
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes.toString();
      if (stderr.includes(text)) resolve();
    });
    child.on('close', () => reject(new Error(`it ended before it said "${text}": ${stderr}`)));
  });
  return { child, said: () => `${stderr}\n${stdout}` };
}

const BENCH = ['bench', '--family', 'rope', '--seconds', '60', '--no-tuning'];

test('a bench keeps what is finished, marked as incomplete, and exits with 130', async () => {
  const out = join(await scratchFolder(), 'result.json');
  const { child, said } = await startedUntil('Check kernels against float64:', [...BENCH, '--out', out]);
  child.kill('SIGINT');
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code, said()).toBe(130);
  expect(said()).toContain('ending, what is finished is kept');
  expect(said()).toContain('moebius: The work was cancelled: interrupted.');
  const result = readResult(await readFile(out), out);
  expect(result).toMatchObject({
    ...{ pass: false, verdict: { outcome: 'incomplete' } },
    interrupted: { reason: expect.stringContaining('interrupted') as string },
  });
  expect(result.checks.kernels).toMatchObject([{ family: 'rope', failed: 0 }]);
  expect(result.ceilings.length).toBeGreaterThan(0);
  expect(await readdir(join(out, '..')), 'no half file is left').toEqual(['result.json']);
});

test('a second Ctrl-C ends it at once', async () => {
  const out = join(await scratchFolder(), 'result.json');
  const { child } = await startedUntil('Examine the adapter', [...BENCH, '--out', out]);
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  child.kill('SIGINT');
  child.kill('SIGINT');
  const again = setInterval(() => child.kill('SIGINT'), 50);
  const [code, signal] = await ended;
  clearInterval(again);
  expect(code === 130 || signal === 'SIGINT').toBe(true);
});

/** The command line as a user starts it. */
import { spawn } from 'node:child_process';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const MOEBIUS = fileURLToPath(new URL('../../src/cli/moebius.js', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `moebius ...args` with stdout as a pipe and stderr appended to a file. (Node's own pipes are sockets, on which
 * the native code's warnings cannot be kept apart.)
 */
export async function moebius(...args: string[]): Promise<Outcome> {
  const env = { ...process.env, MOEBIUS_DEBUG: '' };
  const log = join(await scratchFolder(), 'stderr');
  const file = await open(log, 'a');
  const child = spawn(process.execPath, [MOEBIUS, ...args], { env, stdio: ['ignore', 'pipe', file.fd] });
  let stdout = '';
  child.stdout?.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  await file.close();
  return { code, stdout, stderr: await readFile(log, 'utf8') };
}

/** Starts `moebius ...args`, reads the first bytes of its stdout, and closes the pipe. */
export function moebiusIntoClosedPipe(...args: string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [MOEBIUS, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stdout.once('data', () => child.stdout.destroy());
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stderr }));
  });
}

/** A folder that goes away with the test. */
export async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'moebius-cli-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

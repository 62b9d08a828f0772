/** The command line as a process of its own. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject, onTestFinished } from 'vitest';

/** As a checkout has it: loads its TypeScript through a loader, which takes most of the time that a process takes. */
const SOURCE = fileURLToPath(new URL('../../bin/moebius.js', import.meta.url));

/** The same as a package has it, of the same source. */
export const commandPath = (): string => inject('command');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Circumstances {
  /** Replaces stdout; a pipe when absent. */
  readonly stdout?: number;
  readonly cwd?: string;
  /** As a checkout has it, not built. */
  readonly fromSource?: boolean;
  /** In place of the test's own environment, but for PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** As a user that owns nothing; only root can do that. */
  readonly asNobody?: boolean;
}

/** Whether processes can be started as another user. */
export const canBeNobody = process.getuid?.() === 0 && existsSync('/usr/bin/setpriv');

const NOBODY = ['--reuid=nobody', '--regid=nogroup', '--clear-groups'];

/** Runs `moebius ...args` with stdout as a pipe and stderr in a file. */
export function moebius(...args: string[]): Promise<Outcome> {
  return moebiusIn({}, ...args);
}

/**
 * As `moebius`, under circumstances. (Stderr is a file, since Node's own pipes are sockets, on which the native code's
 * warnings cannot be kept apart.)
 */
export async function moebiusIn(how: Circumstances, ...args: string[]): Promise<Outcome> {
  const env =
    how.env === undefined
      ? { ...process.env, MOEBIUS_DEBUG: '' }
      : { PATH: process.env.PATH, MOEBIUS_ADAPTER: process.env.MOEBIUS_ADAPTER, ...how.env };
  const log = join(await scratchFolder(), 'stderr');
  const file = await open(log, 'w');
  const node = [process.execPath, how.fromSource ? SOURCE : commandPath(), ...args];
  const [program = '', ...rest] = how.asNobody ? ['/usr/bin/setpriv', ...NOBODY, ...node] : node;
  const child = spawn(program, rest, {
    ...{ env, stdio: ['ignore', how.stdout ?? 'pipe', file.fd] },
    ...(how.cwd !== undefined && { cwd: how.cwd }),
  });
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
  const child = spawn(process.execPath, [commandPath(), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
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

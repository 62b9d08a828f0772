/** Benches of two checkouts, each in a process of its own, in an order of chance: what changes slowly meets both alike. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { range } from '../../core/math.ts';
import { seededRandom, shuffled } from '../../core/random.ts';
import type { Progress } from '../../bench/progress.ts';

const ENTRY = 'src/cli/moebius.js';

export interface TurnOptions {
  /** Of each checkout. */
  readonly runs: number;
  /** Of `moebius bench`. */
  readonly args: readonly string[];
  readonly progress: Progress;
}

/**
 * @returns the result files of both, in a new folder for temporary files, where they stay.
 * @throws ConfigError for a folder that is no checkout; CheckError when a bench ends without a result.
 */
export async function runInTurns(
  checkouts: readonly [string, string],
  { runs, args, progress }: TurnOptions,
): Promise<[string[], string[]]> {
  for (const checkout of checkouts) {
    if (existsSync(resolve(checkout, ENTRY))) continue;
    throw new ConfigError(
      `${checkout} is no checkout of moebius: it has no ${ENTRY}. Name a folder that has, after npm ci.`,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), 'moebius-compare-'));
  const files: [string[], string[]] = [[], []];
  const random = seededRandom(Date.now());
  for (const turn of range(runs)) {
    for (const side of shuffled([0, 1] as const, random)) {
      const out = join(folder, `${'ab'[side]}${turn + 1}.json`);
      await progress.step(`Run ${turn + 1} of ${runs}: ${checkouts[side]}`, () =>
        benchIn(resolve(checkouts[side]), [...args, '--out', out]),
      );
      files[side].push(out);
    }
  }
  return files;
}

/** A failed check still leaves a result, but of what is wrong no time counts. */
async function benchIn(checkout: string, args: readonly string[]): Promise<void> {
  const { code, complaint } = await new Promise<{ code: number | null; complaint: string }>((done, fail) => {
    const child = spawn(process.execPath, [join(checkout, ENTRY), 'bench', ...args], {
      cwd: checkout,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stderr.on('data', (bytes: Buffer) => (text = (text + bytes.toString()).slice(-2000)));
    child.on('error', fail);
    child.on('close', (code) => done({ code, complaint: text }));
  });
  if (code === 0) return;
  const last = complaint.trim().split('\n').at(-1) ?? '';
  throw new CheckError(`moebius bench in ${checkout} ended with ${code}: ${last}`);
}

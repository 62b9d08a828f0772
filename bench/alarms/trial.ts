/** Trials of `compare` through the whole pipeline: runs of the same code, and of code with a planted slowdown. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compare } from '../../src/cli/verbs/compare.ts';
import type { Comparison } from '../../src/compare/compare.ts';
import { isNamed } from '../../src/compare/decide.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { range, sum } from '../../src/core/math.ts';
import { seededRandom, shuffled } from '../../src/core/random.ts';
import { readResultAt } from '../../src/cli/files/read-result.ts';
import { comparedRun } from '../../src/report/file/compared-runs.ts';
import { median } from '../../src/measure/statistics.ts';

export interface TrialOptions {
  readonly adapter: string;
  /** Of each side. */
  readonly runs: number;
  /** Time to measure for, of each run. */
  readonly seconds: number;
  readonly families: readonly string[];
  /** Part of the path of the shader that is slowed down, and of how many of its dispatches one is repeated. */
  readonly shader: string;
  readonly every: number;
  /** Begin of the name of the row that it is. */
  readonly row: string;
  readonly seed: number;
  /** Where its runs are kept, and taken from when they are there already. */
  readonly folder: string;
  readonly say?: (text: string) => void;
}

export interface Trial {
  /** Of runs of the same code on both sides. */
  readonly rows: number;
  readonly named: number;
  /** What was said of the row that was slowed down, and its ratio. */
  readonly word: string;
  readonly ratio: number;
  /** Standard deviation of the row's runs of the same code, as a share of their mean. */
  readonly spread: number;
}

/** Three sides in turns of shuffled order: a and b are the same code, c is slowed down. */
export async function trial(options: TrialOptions): Promise<Trial> {
  const { runs, seed, folder, say = () => undefined } = options;
  await mkdir(folder, { recursive: true });
  const files: Record<'a' | 'b' | 'c', string[]> = { a: [], b: [], c: [] };
  const random = seededRandom(seed);
  for (const turn of range(runs)) {
    for (const side of shuffled(['a', 'b', 'c'] as const, random)) {
      say(`run ${turn + 1} of ${runs}, side ${side}`);
      const out = join(folder, `${side}${turn + 1}.json`);
      if (!existsSync(out)) await oneRun(out, options, side === 'c');
      files[side].push(out);
    }
  }
  const same = await compare({ a: files.a, b: files.b });
  const slowed = rowOf(await compare({ a: files.a, b: files.c }), options.row);
  return {
    rows: same.rows.length,
    named: same.rows.filter(({ word }) => isNamed(word)).length,
    ...{ word: slowed.word, ratio: slowed.ratio },
    spread: await spreadOf([...files.a, ...files.b], slowed.name),
  };
}

async function oneRun(out: string, options: TrialOptions, slow: boolean): Promise<void> {
  const { adapter, seconds, families, shader, every } = options;
  const script = fileURLToPath(new URL('run.ts', import.meta.url));
  const loader = fileURLToPath(new URL('../../src/cli/typescript.js', import.meta.url));
  const args = [out, adapter, String(seconds), families.join(','), ...(slow ? [shader, String(every)] : [])];
  await promisify(execFile)(process.execPath, ['--import', loader, script, ...args], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
  });
}

function rowOf({ rows }: Comparison, name: string): Comparison['rows'][number] {
  const row = rows.find((candidate) => candidate.name.startsWith(name));
  if (row === undefined) {
    throw new ConfigError(`no row "${name}". There is: ${rows.map((one) => one.name).join('; ')}.`);
  }
  return row;
}

async function spreadOf(files: readonly string[], row: string): Promise<number> {
  const values = await Promise.all(
    files.map(async (file) =>
      median(comparedRun(await readResultAt(file), file).rows.get(row)?.samplesNs ?? []),
    ),
  );
  const mean = sum(values) / values.length;
  return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1)) / mean;
}

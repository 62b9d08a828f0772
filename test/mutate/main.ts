/**
 * `npm run mutate`: plants the faults of the catalogue one at a time in a copy of the working tree, runs the tests that
 * are to notice, and lists who survived. Stryker knows neither WGSL nor which of our tests take minutes on a GPU.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { atLeast } from '../../src/cli/options.ts';
import { baselineRuns } from './baseline.ts';
import { catalogue } from './catalogue.ts';
import { copyTree, plant, scratchFolder } from './copies.ts';
import { describeScore, fateOf, scoreOf, type Judged } from './judge.ts';
import { KeptRuns } from './kept.ts';
import { nameOf, type Mutant } from './mutant.ts';
import { endAll, runTests, type TestRun } from './run-tests.ts';

interface Options {
  readonly only?: string;
  readonly area?: string;
  readonly list?: boolean;
  readonly json?: string;
  readonly results?: string;
  readonly workers: number;
  readonly limit: number;
  readonly baseline: boolean;
}

interface Job {
  readonly area: string;
  readonly mutant: Mutant;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const program = new Command('mutate')
  .description('Plants faults in a copy of the project, one at a time, and tells which ones no test notices.')
  .option('--only <pattern>', 'faults whose file, words or tests match')
  .option('--area <name>', `of ${Object.keys(catalogue).join(', ')}`)
  .option('--list', 'say what would be planted, and end')
  .option('--json <file>', 'all results, as JSON')
  .option('--results <file>', 'kept there, and taken from there where no text has changed')
  .option('--workers <n>', 'faults at a time', atLeast(1), 2)
  .option('--limit <seconds>', 'for the tests of one fault; longer counts as caught', atLeast(1), 600)
  .option('--no-baseline', 'skip the run without faults');

function jobsOf({ only, area }: Options): Job[] {
  if (area !== undefined && !(area in catalogue)) {
    throw new Error(`There is no area "${area}". There is: ${Object.keys(catalogue).join(', ')}.`);
  }
  const pattern = new RegExp(only ?? '');
  return Object.entries(catalogue)
    .filter(([name]) => area === undefined || name === area)
    .flatMap(([name, mutants]) => mutants.map((mutant) => ({ area: name, mutant })))
    .filter(({ mutant }) => pattern.test(`${nameOf(mutant)} ${mutant.tests.join(' ')}`));
}

/** Deals `jobs` to workers, each with a copy of its own. */
async function inCopies<T>(
  folders: readonly string[],
  jobs: readonly T[],
  work: (folder: string, job: T) => Promise<void>,
): Promise<void> {
  const waiting = [...jobs];
  await Promise.all(
    folders.map(async (folder) => {
      for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await work(folder, job);
    }),
  );
}

const line = (i: number, all: number, word: string, { seconds }: TestRun, name: string): string =>
  `[${String(i).padStart(String(all).length)}/${all}] ${word.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s  ${name}`;

/** @returns whether all tests pass without faults. */
async function baseline(
  folders: readonly string[],
  mutants: readonly Mutant[],
  limit: number,
): Promise<boolean> {
  const runs = baselineRuns(mutants);
  say(`The tests without faults, in ${runs.length} runs:`);
  let done = 0;
  let pass = true;
  await inCopies(folders, runs, async (folder, watch) => {
    // Whole files together take longer than any fault's tests.
    const run = await runTests(folder, watch, 10 * limit);
    const what = watch.tests.length > 3 ? `${watch.tests.length} files` : watch.tests.join(' ');
    say(line(++done, runs.length, run.state, run, what));
    if (run.state === 'passed') return;
    pass = false;
    say(`    ${run.failed ?? `-t '${watch.only}'`}\n    ${(run.message ?? '').slice(0, 2000)}`);
  });
  return pass;
}

async function main(options: Options): Promise<number> {
  const jobs = jobsOf(options);
  if (options.list === true) {
    for (const { area, mutant } of jobs) say(`${area}  ${nameOf(mutant)}`);
    say(`${jobs.length} faults`);
    return 0;
  }
  const kept = new KeptRuns(options.results);
  const judged: Judged[] = [];
  const open = jobs.filter(({ area, mutant }) => {
    const run = kept.runOf(mutant);
    if (run !== undefined) judged.push({ area, mutant, fate: fateOf(mutant, run), run });
    return run === undefined;
  });
  if (judged.length > 0) say(`${judged.length} of ${jobs.length} faults were judged before.`);
  const scratch = scratchFolder();
  const folders = Array.from({ length: Math.min(options.workers, open.length) }, (_, i) =>
    join(scratch, `copy-${i}`),
  );
  for (const folder of folders) {
    mkdirSync(folder);
    copyTree(folder);
  }
  const mutants = open.map(({ mutant }) => mutant);
  if (options.baseline && open.length > 0 && !(await baseline(folders, mutants, options.limit))) {
    say('\nFAIL: tests fail without any fault; nothing was planted');
    return 1;
  }
  say(`${open.length} faults, one at a time:`);
  await inCopies(folders, open, async (folder, { area, mutant }) => {
    const takeOut = plant(folder, mutant);
    const run = await runTests(folder, mutant, options.limit);
    takeOut();
    const fate = fateOf(mutant, run);
    judged.push({ area, mutant, fate, run });
    kept.keep(mutant, run);
    say(line(judged.length, jobs.length, fate, run, nameOf(mutant)));
  });
  const score = scoreOf(judged);
  for (const text of describeScore(score)) say(text);
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ ...score, judged }, null, 1)}\n`);
  return score.pass ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    endAll();
    process.exit(130);
  });
}
try {
  process.exitCode = await main(program.parse().opts<Options>());
} catch (error) {
  process.stderr.write(`mutate: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

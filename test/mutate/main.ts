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
import { copyTree, scratchFolder } from './copies.ts';
import { judgeFault, type Place } from './judge-fault.ts';
import { describeScore, fateOf, scoreOf, type Judged } from './judge.ts';
import { KeptRuns } from './kept.ts';
import { nameOf, type Mutant } from './mutant.ts';
import { Noticed, provenBy } from './noticed.ts';
import { endAll, runTests, type TestRun } from './run-tests.ts';
import { sampleOf } from './sample.ts';
import { WarmTests } from './warm/process.ts';

interface Options {
  readonly only?: string;
  readonly area?: string;
  readonly list?: boolean;
  readonly json?: string;
  readonly results?: string;
  readonly sample?: number;
  readonly seed: number;
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
  .option('--sample <n>', 'only so many, drawn from all areas alike', atLeast(1))
  .option('--seed <n>', 'of the draw', atLeast(0), 1)
  .option('--workers <n>', 'faults at a time', atLeast(1), 2)
  .option('--limit <seconds>', 'for the tests of one fault; longer counts as caught', atLeast(1), 600)
  .option('--no-baseline', 'skip the run without faults of the tests that noticed one');

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
  places: readonly Place[],
  jobs: readonly T[],
  work: (place: Place, job: T) => Promise<void>,
): Promise<void> {
  const waiting = [...jobs];
  await Promise.all(
    places.map(async (place) => {
      for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await work(place, job);
      place.warm.end();
    }),
  );
}

const line = (i: number, all: number, word: string, { seconds }: TestRun, name: string): string =>
  `[${String(i).padStart(String(all).length)}/${all}] ${word.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s  ${name}`;

/** @returns whether the tests that noticed a fault pass without any. */
async function baseline(
  places: readonly Place[],
  judged: readonly Judged[],
  limit: number,
): Promise<boolean> {
  const noticing = judged.filter(({ fate }) => fate === 'caught' || fate === 'hung');
  const runs = baselineRuns(noticing.map(({ mutant, run }) => provenBy(mutant, run)));
  say(`The tests that noticed, without faults, in ${runs.length} runs:`);
  let done = 0;
  let pass = true;
  await inCopies(places, runs, async ({ folder }, watch) => {
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

function placesFor(jobs: number, { workers }: Options): Place[] {
  const scratch = scratchFolder();
  return Array.from({ length: Math.min(workers, jobs) }, (_, i) => {
    const folder = join(scratch, `copy-${i}`);
    mkdirSync(folder);
    copyTree(folder);
    return { folder, warm: new WarmTests(folder) };
  });
}

async function main(options: Options): Promise<number> {
  const all = jobsOf(options);
  const { sample, seed } = options;
  const jobs = sample === undefined ? all : sampleOf(all, ({ area }) => area, sample, seed);
  if (options.list === true) {
    for (const { area, mutant } of jobs) say(`${area}  ${nameOf(mutant)}`);
    say(`${jobs.length} faults`);
    return 0;
  }
  const kept = new KeptRuns(options.results);
  const noticed = new Noticed();
  const judged: Judged[] = [];
  const take = ({ area, mutant }: Job, run: TestRun): Judged => {
    noticed.note(mutant, run);
    const one = { area, mutant, fate: fateOf(mutant, run), run };
    judged.push(one);
    return one;
  };
  const open = jobs.filter((job) => {
    const run = kept.runOf(job.mutant);
    if (run !== undefined) take(job, run);
    return run === undefined;
  });
  if (judged.length > 0) say(`${judged.length} of ${jobs.length} faults were judged before.`);
  const places = placesFor(jobs.length, options);
  say(`${open.length} faults, one at a time:`);
  await inCopies(places, open, async (place, job) => {
    const run = await judgeFault(place, job.mutant, noticed, options.limit);
    kept.keep(job.mutant, run);
    const { fate } = take(job, run);
    say(line(judged.length, jobs.length, fate, run, nameOf(job.mutant)));
  });
  const isSound = !options.baseline || (await baseline(places, judged, options.limit));
  const score = scoreOf(judged);
  for (const text of describeScore(score, sample === undefined ? undefined : all.length)) say(text);
  if (!isSound) say('FAIL: tests that noticed a fault fail without any');
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ ...score, isSound, judged }, null, 1)}\n`);
  return score.pass && isSound ? 0 : 1;
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

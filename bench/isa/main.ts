/**
 * `npm run bench:isa`: what the compilers of GPUs that are not here make of the kernels: registers, spills, occupancy and a
 * modelled share of peak; fails when a kernel that the registry chooses spills. See README.md.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { buildLayer, compileFor, faultsOf, idleExceptions, missing, type TargetResult } from './compile.ts';
import { goalsOf } from './goals.ts';
import { goalLines, goalText, resultLines } from './tables.ts';
import { TARGETS, type Target } from './targets.ts';
import { checkResultPlace, keepResult, stampOf } from '../../src/cli/files/keep.ts';
import { printJson, printLines } from '../../src/cli/output.ts';
import { cliProgress } from '../../src/cli/progress.ts';
import { endWith } from '../../src/cli/run.ts';
import { CheckError, ConfigError } from '../../src/core/errors.ts';
import { quoted } from '../../src/core/text/quoted.ts';

interface Options {
  readonly targets?: string;
  readonly only: string;
  readonly chosen?: boolean;
  readonly all?: boolean;
  readonly root: string;
  readonly keep?: string;
  readonly json?: boolean;
  readonly out?: string;
}

/** All kernels. */
const WHOLE = '.';

const program = new Command('bench:isa')
  .description(
    'Compiles the kernels for GPUs that are not here (Mesa: AMD, NVIDIA by NVK, Intel, Apple) and tells registers, ' +
      'spills, occupancy and a modelled share of peak. Nothing runs. Exit code 1: a chosen kernel spills, or a goal is missed.',
  )
  .option(
    '--targets <names>',
    `of ${TARGETS.map(({ name }) => name).join(', ')} (default: all that can be compiled for)`,
  )
  .option('--only <regex>', 'kernels whose name matches', WHOLE)
  .option('--chosen', 'compile only what is chosen by default')
  .option('--all', 'show every kernel, not only those that are chosen')
  .option('--root <folder>', 'the newer Mesa for NVIDIA, Intel and Apple', '/var/tmp/moebius-mesa26')
  .option('--keep <folder>', 'keep the statistics and texts of all kernels there')
  .option('--out <file>', 'where the result goes (default: results/isa-<time>.json)')
  .option('--json', 'the whole result on stdout')
  .exitOverride();

function wanted({ targets, root }: Options): readonly Target[] {
  if (targets === undefined) {
    const able = TARGETS.filter((target) => missing(target, { root }) === undefined);
    if (able.length > 0) return able;
    const reasons = new Set(TARGETS.map((target) => missing(target, { root })));
    throw new ConfigError(`bench:isa needs a GPU's compiler, and none is here: ${[...reasons].join('; ')}.`);
  }
  return targets.split(',').map((name) => {
    const target = TARGETS.find((one) => one.name === name.trim());
    if (target === undefined) {
      throw new ConfigError(
        `There is no target ${quoted(name)}. There are: ${TARGETS.map((t) => t.name).join(', ')}.`,
      );
    }
    const reason = missing(target, { root });
    if (reason !== undefined) throw new ConfigError(`${target.name} cannot be compiled for here: ${reason}.`);
    return target;
  });
}

function requirePattern(text: string): void {
  try {
    new RegExp(text);
  } catch {
    throw new ConfigError(`--only is not a regular expression: ${quoted(text)}.`);
  }
}

async function run(options: Options): Promise<void> {
  requirePattern(options.only);
  await checkResultPlace(options.out);
  const targets = wanted(options);
  const { root, only, chosen: chosenOnly = false } = options;
  const folder =
    options.keep === undefined ? await mkdtemp(join(tmpdir(), 'moebius-isa-')) : resolve(options.keep);
  try {
    await buildLayer(folder);
    const progress = cliProgress(options.json === true);
    const results: TargetResult[] = [];
    for (const target of targets) {
      results.push(
        await progress.step(`${target.name}: ${target.gpu}`, () =>
          compileFor(target, { folder, root, only, chosenOnly }),
        ),
      );
    }
    const date = new Date().toISOString();
    // A part of the kernels tells nothing of goals about others.
    const goals = only === WHOLE ? results.flatMap((result) => goalsOf(result, chosenOnly)) : [];
    const kept = { format: 'moebius-isa-1', date, only, goals, targets: results };
    const text = `${JSON.stringify(kept, null, 1)}\n`;
    await keepResult(options.out, `isa-${stampOf(date)}.json`, text, (place) =>
      options.json === true
        ? printJson(kept)
        : printLines([
            ...resultLines(results, options.all === true),
            ...goalLines(goals),
            ...(place === undefined ? [] : [`  All kernels are in ${place}.`]),
          ]),
    );
    const faults = results.flatMap((result) =>
      faultsOf(result).map(({ kernel, measured }) =>
        measured === undefined
          ? `${kernel} does not compile on ${result.target}`
          : `${kernel} on ${result.target} (${measured.spills} values, ${measured.scratchBytes} bytes of scratch)`,
      ),
    );
    const [first] = faults;
    if (first !== undefined) {
      throw new CheckError(`${faults.length} chosen kernels spill or do not compile; the first: ${first}`);
    }
    const idle = only === WHOLE ? results.flatMap(idleExceptions) : [];
    if (idle.length > 0) throw new CheckError(`Exceptions that nothing needs any more: ${idle.join('; ')}.`);
    const missed = goals.filter(({ met }) => !met);
    if (missed.length > 0) throw new CheckError(`Goals that are missed: ${missed.map(goalText).join('; ')}.`);
  } finally {
    if (options.keep === undefined) await rm(folder, { recursive: true, force: true });
  }
}

program.action((options: Options) => run(options));
await endWith('bench:isa', process.argv.includes('--json'), async () => {
  await program.parseAsync(process.argv);
});

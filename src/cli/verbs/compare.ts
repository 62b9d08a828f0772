/** `moebius compare`: which rows of two sets of result files differ by more than chance. */
import { Option, type Command } from 'commander';
import { compareRuns, type Comparison } from '../../compare/compare.ts';
import { CheckError, ConfigError } from '../../core/errors.ts';
import { requireOptions, type Fields } from '../../core/given.ts';
import { renderComparison } from '../../report/terminal/compare.ts';
import { comparedRun } from '../../report/file/compared-runs.ts';
import type { GlobalOptions } from '../options.ts';
import { collect, integer, moreThan, refuseIdle } from '../options.ts';
import { readResultAt } from '../files/read-result.ts';
import { sidesOf, type Sides } from '../files/sides.ts';
import { printJson, printLines, stdoutStyle } from '../output.ts';
import { cliProgress } from '../progress.ts';
import { runInTurns } from './compare-run.ts';

const FAIL_ON = ['slower', 'faster', 'different'] as const;
type FailOn = (typeof FAIL_ON)[number];

/** The two sides of `compareResults`: B is set beside A. */
export interface CompareOptions {
  /** Result files of `moebius bench`: 5 or more a side make the run the unit. */
  readonly a: readonly string[];
  readonly b: readonly string[];
  /** Sets runs on other adapters, or by other clocks, side by side: of Node and of Chrome. */
  readonly across?: boolean;
}

const OPTIONS: Fields = {
  a: 'list',
  b: 'list',
  across: 'flag?',
};

/**
 * Which rows of two sets of result files differ by more than chance: the ratio B / A of each with its interval and
 * rank test.
 * @throws ConfigError for files that are no results, or that cannot be compared.
 */
export async function compare(options: CompareOptions): Promise<Comparison> {
  requireOptions('compare', options, OPTIONS);
  const { a, b, across = false } = options;
  const runs = (paths: readonly string[]) =>
    Promise.all(paths.map(async (path) => comparedRun(await readResultAt(path), path)));
  return compareRuns(await runs(a), await runs(b), { across });
}

/** @throws CheckError that names the first row of those that are certain. */
export function requireNone({ rows }: Comparison, failOn: FailOn): void {
  const wrong = rows.filter(({ word, certain }) => certain && (failOn === 'different' || word === failOn));
  const [first] = wrong;
  if (first === undefined) return;
  const more = wrong.length === 1 ? '' : ` and ${wrong.length - 1} more`;
  throw new CheckError(`${first.name}${more} ${first.word} in B: ${first.ratio.toFixed(3)} times A`);
}

const BETWEEN = { what: 'the two sides', usage: 'moebius compare A... -- B...' };

interface CommandOptions extends GlobalOptions {
  readonly run?: boolean;
  readonly runs: number;
  readonly seconds?: number;
  readonly family: readonly string[];
  readonly kernel: readonly string[];
  readonly quick?: boolean;
  readonly verbose?: boolean;
  readonly across?: boolean;
  readonly failOn?: FailOn;
}

export function describeCompare(command: Command): Command {
  return command
    .description(
      'Compares result files of moebius bench, those before -- with those after it: per row the ratio B / A with its ' +
        'interval, an exact rank test, and a word. With --run it makes the files itself, from two checkouts.',
    )
    .argument('<file...>', 'result files: A... -- B..., or just A B; with --run two checkouts')
    .option('--run', 'the arguments are checkouts, whose benches run in turns of shuffled order: for CI')
    .option('--runs <n>', 'with --run: of each side', integer(1, 100), 5)
    .option('--quick', 'with --run: bench --quick')
    .option('--family <name>', 'with --run: only these families', collect, [])
    .option('--kernel <name>', 'with --run: only these kernels', collect, [])
    .option('--seconds <n>', 'with --run: time to measure for, of each run', moreThan(0))
    .option('--across', 'set runs on other adapters or clocks side by side: of Node and of Chrome')
    .option('--verbose', 'show all rows')
    .addOption(
      new Option('--fail-on <what>', 'exit with 1 when a row is so beyond doubt').choices([...FAIL_ON]),
    )
    .addHelpText(
      'after',
      `
slower and faster mean p <= 5 % and an effect worth naming: 2 %, or what the row
differs by from itself. * also after allowing for all rows: what --fail-on asks.
same: the whole interval is within that effect. Everything else is ambiguous.
With fewer than 5 runs a side rounds are the unit: a hint, marked ?, no proof.

Examples:
  moebius compare old.json new.json
  moebius compare old-*.json -- new-*.json --fail-on slower
  moebius compare node.json chrome.json --across
  moebius compare --run ../before . --runs 5 --kernel matmul/tiled`,
    )
    .action(async (files: readonly string[], _options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const ofRuns = ['runs', 'quick', 'family', 'kernel', 'seconds'];
      refuseIdle(command, [[given.run !== true, ofRuns, 'without --run nothing is measured']]);
      const [a, b] = given.run === true ? await made(files, given) : sidesOf(files, command, BETWEEN);
      const found = await compare({ a, b, ...(given.across === true && { across: true }) });
      await (given.json
        ? printJson(found)
        : printLines(renderComparison(found, stdoutStyle(), given.verbose === true)));
      if (given.failOn !== undefined) requireNone(found, given.failOn);
    });
}

async function made(checkouts: readonly string[], given: CommandOptions): Promise<Sides> {
  const [a, b, ...more] = checkouts;
  if (a === undefined || b === undefined || more.length > 0) {
    throw new ConfigError(`--run compares two checkouts; ${checkouts.length} were given.`);
  }
  const { adapter, runs, quick = false, family, kernel, seconds } = given;
  const args = [
    ...['--adapter', adapter, '--no-tuning'],
    ...(quick ? ['--quick'] : []),
    ...family.flatMap((name) => ['--family', name]),
    ...kernel.flatMap((name) => ['--kernel', name]),
    ...(seconds === undefined ? [] : ['--seconds', String(seconds)]),
  ];
  return runInTurns([a, b], { runs, args, progress: cliProgress(given.json === true) });
}

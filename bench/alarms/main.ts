/**
 * `npm run bench:alarms`: how often `compare` names a difference where there is none, and whether it finds a kernel that
 * takes 10 % longer, through the whole pipeline: each run is a bench in a process of its own.
 */
import { Command } from 'commander';
import { cliProgress } from '../../src/cli/progress.ts';
import { atLeast, moreThan, collect } from '../../src/cli/options.ts';
import { printJson, printLines } from '../../src/cli/output.ts';
import { endWith } from '../../src/cli/run.ts';
import { CheckError } from '../../src/core/errors.ts';
import { range, sum } from '../../src/core/math.ts';
import { trial, type Trial } from './trial.ts';

interface Options {
  readonly adapter: string;
  readonly trials: number;
  readonly runs: number;
  readonly seconds: number;
  readonly family: readonly string[];
  readonly shader: string;
  readonly row: string;
  readonly every: number;
  readonly json?: boolean;
}

/** Runs that spread by more do not show 10 %: then it must be called ambiguous, never the same. */
const CALM = 0.03;

const program = new Command('bench:alarms')
  .description(
    'Compares runs of the same code, and of code with a planted slowdown, in turns of shuffled order; each run is a ' +
      'bench in a process of its own.',
  )
  .option('--adapter <name>', 'as of moebius bench', process.env.MOEBIUS_ADAPTER ?? 'auto')
  .option('--trials <n>', 'comparisons of each kind', atLeast(1), 20)
  .option('--runs <n>', 'of each side', atLeast(2), 5)
  .option('--seconds <n>', 'time to measure for, of each run', moreThan(0), 4)
  .option('--family <name>', 'that each run measures (default: rope, rms-norm, gate-topk)', collect, [])
  .option('--shader <part>', 'of the path of the shader that is slowed down', 'rope')
  .option('--row <name>', 'begin of the name of its row', 'rope: ')
  .option('--every <n>', 'of so many dispatches one is repeated: 10 is 10 % slower', atLeast(1), 10)
  .option('--json', 'one object on stdout');

await endWith('bench:alarms', process.argv.includes('--json'), async () => {
  const given = program.exitOverride().parse().opts<Options>();
  const { adapter, runs, seconds, shader, row, every } = given;
  const families = given.family.length === 0 ? ['rope', 'rms-norm', 'gate-topk'] : given.family;
  const progress = cliProgress(given.json === true);
  const trials: Trial[] = [];
  for (const seed of range(given.trials)) {
    trials.push(
      await progress.step(
        `Trial ${seed + 1} of ${given.trials}`,
        (say) => trial({ adapter, runs, seconds, families, shader, row, every, seed, say }),
        toldOf,
      ),
    );
  }
  const rows = sum(trials.map((one) => one.rows));
  const named = sum(trials.map((one) => one.named));
  const calm = trials.filter(({ spread }) => spread <= CALM);
  const found = calm.filter(({ word }) => word === 'slower').length;
  const same = trials.filter(({ word }) => word === 'same').length;
  const result = { trials, rows, named, calm: calm.length, found, same };
  if (given.json) await printJson(result);
  else {
    await printLines([
      `Of the same code ${named} of ${rows} rows were named: ${((100 * named) / rows).toFixed(1)} %.`,
      `The planted slowdown was found in ${found} of ${calm.length} trials whose runs spread by at most 3 %,`,
      `and called the same in ${same} of all ${trials.length}.`,
    ]);
  }
  if (same > 0) throw new CheckError('a slowdown that is there was called the same');
});

function toldOf({ rows, named, word, ratio, spread }: Trial): string {
  return `${named} of ${rows} named; planted: ${word}, ${ratio.toFixed(3)} times, runs spread by ${(100 * spread).toFixed(1)} %`;
}

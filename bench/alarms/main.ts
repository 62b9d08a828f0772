/**
 * `npm run bench:alarms`: how often `compare` names a difference where there is none, and whether it finds a kernel that
 * takes 10 % longer, through the whole pipeline: each run is a bench in a process of its own. Runs are kept: after Ctrl-C
 * the same command goes on.
 */
import { join } from 'node:path';
import { Command } from 'commander';
import { commitHere } from '../../src/cli/package.ts';
import { cliProgress } from '../../src/cli/progress.ts';
import { atLeast, moreThan, collect } from '../../src/cli/options.ts';
import { printJson, printLines } from '../../src/cli/output.ts';
import { endWith } from '../../src/cli/run.ts';
import { CheckError } from '../../src/core/errors.ts';
import { range } from '../../src/core/math.ts';
import { formatPercent } from '../../src/core/units.ts';
import { judge, judgementText } from './judge.ts';
import { keepIn } from './kept.ts';
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
  readonly folder: string;
  readonly json?: boolean;
}

const program = new Command('bench:alarms')
  .description(
    'Compares runs of the same code, and of code with a planted slowdown, in turns of shuffled order; each run is a ' +
      'bench in a process of its own.',
  )
  .option('--adapter <name>', 'as of moebius bench', process.env.MOEBIUS_ADAPTER ?? 'auto')
  .option('--trials <n>', 'comparisons of each kind', atLeast(1), 20)
  .option('--runs <n>', 'of each side', atLeast(2), 5)
  .option('--seconds <n>', 'time to measure for, of each run', moreThan(0), 2)
  .option('--family <name>', 'that each run measures (default: rope, rms-norm, gate-topk)', collect, [])
  .option('--shader <part>', 'of the path of the shader that is slowed down', 'rope')
  .option('--row <name>', 'begin of the name of its row', 'rope: ')
  .option('--every <n>', 'of so many dispatches one is repeated: 10 is 10 % slower', atLeast(1), 10)
  .option('--folder <path>', 'where runs are kept: what was interrupted goes on from there', 'results/alarms')
  .option('--json', 'one object on stdout');

await endWith('bench:alarms', process.argv.includes('--json'), async () => {
  const given = program.exitOverride().parse().opts<Options>();
  const { adapter, runs, seconds, shader, row, every, folder } = given;
  const families = given.family.length === 0 ? ['rope', 'rms-norm', 'gate-topk'] : given.family;
  const settings = { adapter, runs, seconds, families, shader, row, every };
  await keepIn(folder, { ...settings, commit: commitHere() ?? null });
  const progress = cliProgress(given.json === true);
  const trials: Trial[] = [];
  for (const seed of range(given.trials)) {
    trials.push(
      await progress.step(
        `Trial ${seed + 1} of ${given.trials}`,
        (say) => trial({ ...settings, seed, folder: join(folder, String(seed + 1)), say }),
        toldOf,
      ),
    );
  }
  const judgement = judge(trials);
  if (given.json) await printJson({ trials, ...judgement });
  else await printLines(judgementText(judgement));
  if (judgement.broken !== undefined) throw new CheckError(judgement.broken);
});

function toldOf({ rows, named, word, ratio, spread }: Trial): string {
  return `${named} of ${rows} named; planted: ${word}, ${ratio.toFixed(3)} times, runs spread by ${formatPercent(spread)}`;
}

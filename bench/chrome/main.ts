/** `npm run bench:chrome`: the bench in headless Chromium, in the same result file, to be set beside one of Node. */
import { Command } from 'commander';
import type { BenchResult } from '../../src/bench/result.ts';
import { requirePass } from '../../src/bench/run.ts';
import { SECONDS } from '../../src/bench/sizes.ts';
import { checkResultPlace, keepResult } from '../../src/cli/files/keep.ts';
import { collect, moreThan } from '../../src/cli/options.ts';
import { printJson, printLines, stdoutStyle } from '../../src/cli/output.ts';
import { commitHere, packageVersion } from '../../src/cli/package.ts';
import { interruption } from '../../src/cli/process/interrupt.ts';
import { cliProgress } from '../../src/cli/progress.ts';
import { endWith } from '../../src/cli/run.ts';
import { resultName } from '../../src/cli/verbs/bench.ts';
import { CancelledError, CheckError } from '../../src/core/errors.ts';
import { formatNs } from '../../src/core/units.ts';
import { renderBench } from '../../src/report/terminal/bench/tables.ts';
import { withBenchPage } from './open.ts';
import type { Told } from './page/worker.ts';

interface Options {
  readonly adapter: string;
  readonly quick?: boolean;
  readonly seconds?: number;
  readonly family: readonly string[];
  readonly kernel: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
}

const program = new Command('bench:chrome')
  .description(
    'Checks and times the kernels and the model in headless Chromium, and writes the result file of moebius bench.',
  )
  .option('--quick', 'what is taken by default, at fewer sizes')
  .option(
    '--seconds <n>',
    `time to measure for, on top of opening, compiling and checks (default: ${SECONDS.full}, quick ${SECONDS.quick})`,
    moreThan(0),
  )
  .option('--family <name>', 'only these families, without the model; may be repeated', collect, [])
  .option('--kernel <name>', 'only these kernels, without the model; may be repeated', collect, [])
  .option('--adapter <name>', "auto, part of an adapter's name, or compatibility", 'auto')
  .option('--out <file>', 'where the result goes (default: results/<time>-<adapter>.json)')
  .option('--json', 'the whole result on stdout')
  .addHelpText(
    'after',
    '\nCHROME_PATH names the browser. moebius compare node.json chrome.json --across sets both side by side.',
  )
  .exitOverride();

/** The worker's steps as ours, until it has ended. */
async function followed(
  told: AsyncIterable<Told>,
  quiet: boolean,
): Promise<Extract<Told, { what: 'done' | 'failed' }>> {
  const progress = cliProgress(quiet);
  let step:
    { say: (text: string) => void; end: (outcome: string) => void; over: Promise<unknown> } | undefined;
  for await (const one of told) {
    if (one.what === 'done' || one.what === 'failed') return one;
    if (one.what === 'say') step?.say(one.text);
    else if (one.what === 'end') {
      step?.end(one.text);
      await step?.over;
    } else {
      await new Promise<void>((begun) => {
        let end: (outcome: string) => void = () => undefined;
        const outcome = new Promise<string>((resolve) => (end = resolve));
        const over = progress.step(
          one.text,
          (say) => {
            step = { say, end, over: outcome };
            begun();
            return outcome;
          },
          (text) => text,
        );
        if (step !== undefined) step = { ...step, over };
      });
    }
  }
  throw new Error('the page has closed before the bench had ended');
}

async function keep(text: string, { out, json }: Options): Promise<BenchResult> {
  const result = JSON.parse(text) as BenchResult;
  await keepResult(out, resultName(result), text, async (place) => {
    if (json) return printJson(result);
    const where = place === undefined ? '' : ` All samples are in ${place}.`;
    await printLines([...renderBench(result, stdoutStyle()), '', `Took ${formatNs(result.wallNs)}.${where}`]);
  });
  return result;
}

async function run(options: Options): Promise<void> {
  await checkResultPlace(options.out);
  const { adapter, quick = false, seconds, family: families, kernel: kernels } = options;
  const end = await withBenchPage(async (page) => {
    const signal = interruption();
    signal?.addEventListener('abort', () => void page.ask({ what: 'cancel' }));
    await page.ask({
      ...{ what: 'run', adapter, quick, families, kernels, commit: commitHere() ?? null },
      ...{ versions: { moebius: packageVersion() }, ...(seconds !== undefined && { seconds }) },
    });
    return followed(page.told, options.json === true);
  });
  const result = end.result === undefined ? undefined : await keep(end.result, options);
  if (end.what === 'done' && result !== undefined) return requirePass(result);
  const message = end.what === 'failed' ? end.error : 'it gave no result';
  throw end.what === 'failed' && end.name === 'AbortError'
    ? new CancelledError(message)
    : new CheckError(`the bench in Chromium has failed: ${message}`);
}

program.action((options: Options) => run(options));
await endWith('bench:chrome', process.argv.includes('--json'), async () => {
  await program.parseAsync(process.argv);
});

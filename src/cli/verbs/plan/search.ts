/** `moebius search`: every layout of so many GPUs, and where a given one stands among them. */
import { InvalidArgumentError, type Command } from 'commander';
import { CancelledError, ConfigError } from '../../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../../core/given.ts';
import { MOST_GPUS, type SearchAsked, searchOf } from '../../../planner/search/asked.ts';
import { evaluate, type Outcome, type SearchSetting } from '../../../planner/search/evaluate.ts';
import type { SearchReport } from '../../../planner/search/search.ts';
import { meanLengths, type OpenWorkload } from '../../../planner/simulate/workload.ts';
import { inThreads } from '../../../platform/node/threads.ts';
import { renderSearch } from '../../../report/terminal/plan/search.ts';
import { checkOutput, writeWhole } from '../../files/files.ts';
import { integer, MOST_SEED, moreThan, requireInteger, type GlobalOptions } from '../../options.ts';
import { printJson, printLines, stdoutStyle } from '../../output.ts';
import { interruption } from '../../process/interrupt.ts';
import { threadEntry } from '../../threads/entry.ts';
import { LEAST_LENGTH } from '../../../planner/simulate/workload.ts';
import { arrivalsOf, type ArrivalOptions } from './arrivals.ts';
import { FRAMEWORK_OPTION } from './deployment.ts';
import { hardwareAt, modelAt, routingAt } from './places.ts';
import { tellSearch } from './search-progress.ts';

/** Options of `search`, those of `moebius search`. */
export interface SearchOptions
  extends
    ArrivalOptions,
    Omit<SearchAsked, 'model' | 'hardware' | 'isl' | 'osl' | 'arrivals' | 'seed' | 'routing'> {
  /** A preset's name, or the path of a `config.json`. */
  readonly model: string;
  /** A name, or the path of a JSON file with figures of one's own. */
  readonly hardware: string;
  /** Tokens in and out, nominal: lengths are uniform in 0.8 to 1.0 of them. 1,024 when absent. */
  readonly isl?: number;
  readonly osl?: number;
  /** uniform, balanced, zipf:1.2, power-law:1.2, or the path of a routing trace. */
  readonly routing?: string;
  /** 1: no further thread; as many as there are cores when absent. */
  readonly threads?: number;
  /** Told of each layout that was simulated. */
  readonly onProgress?: (done: number, of: number) => void;
  /** Ends the search with what was found by then. */
  readonly signal?: AbortSignal;
}

const OPTIONS: Fields = {
  model: 'string',
  hardware: 'string',
  gpus: 'any',
  gpusPerNode: 'number?',
  layout: 'string?',
  ttft: 'number?',
  tpot: 'number?',
  precision: 'string?',
  framework: 'string?',
  isl: 'number?',
  osl: 'number?',
  concurrency: 'number?',
  rate: 'number?',
  trace: 'string?',
  requests: 'number?',
  routing: 'string?',
  rounds: 'number?',
  seed: 'number?',
  threads: 'number?',
  onProgress: 'function?',
  signal: 'signal?',
};

/**
 * Every layout of a number of GPUs, simulated; those that nothing beats, the best within the targets, and where a given one
 * stands.
 * @throws ConfigError for options that are wrong, a model that no layout cuts, or one that fits none of them.
 */
export async function search(options: SearchOptions): Promise<SearchReport> {
  requireOptions('search', options, OPTIONS);
  const { signal, onProgress, threads } = options;
  if (threads !== undefined) requireInteger('threads', threads, 1, 1024);
  const lengths = await arrivalsFor(options);
  const [model, hardware] = [await modelAt(options.model), await hardwareAt(options.hardware)];
  const { routing = 'uniform' } = options;
  const asked = { ...options, ...lengths, model, hardware, routing: await routingAt(routing, model) };
  const { setting, plan, report } = searchOf(asked);
  const outcomes = new Map<number, Outcome>();
  const { entry, module } = threadEntry('search-thread');
  const whole = await inThreads(
    plan.candidates.map(({ placement }) => placement),
    {
      entry,
      data: { setting, module },
      here: (placement) => evaluate(placement, setting),
      onResult: (index, outcome) => {
        outcomes.set(index, outcome);
        onProgress?.(outcomes.size, plan.candidates.length);
      },
      ...(threads !== undefined && { count: threads }),
      ...(signal && { signal }),
    },
  );
  return report(outcomes, !whole);
}

/** Lengths, and requests that come by themselves where they do. */
async function arrivalsFor(
  options: SearchOptions,
): Promise<Pick<SearchSetting, 'isl' | 'osl'> & { readonly arrivals: OpenWorkload | undefined }> {
  const { isl = 1024, osl = 1024, rate, trace } = options;
  for (const [name, value] of Object.entries({ isl, osl })) requireInteger(name, value, 1, 2 ** 24);
  const isOpen = rate !== undefined || trace !== undefined;
  const idle = (isOpen ? (['concurrency', 'rounds'] as const) : (['requests'] as const)).find(
    (name) => options[name] !== undefined,
  );
  if (idle !== undefined) {
    throw new ConfigError(
      isOpen
        ? `${idle} is of a closed loop; with ${trace === undefined ? 'a rate' : 'a trace'} it would do nothing. Leave it out.`
        : 'requests is for a rate; a closed loop has rounds. Leave it out, or give a rate.',
    );
  }
  const arrivals = await arrivalsOf(options, { input: isl, output: osl, least: LEAST_LENGTH });
  if (arrivals === undefined || trace === undefined) return { isl, osl, arrivals };
  const { input, output } = meanLengths(arrivals);
  return { isl: input, osl: output, arrivals };
}

/** '10s', '50ms' in ms. */
function milliseconds(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(us|ms|s|m)$/.exec(text.trim().toLowerCase()) ?? [];
  const value = Number(number) * ({ us: 1e-3, ms: 1, s: 1e3, m: 6e4 }[unit ?? ''] ?? NaN);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a time of more than 0, as 50ms or 10s.');
  return value;
}

/** '128' or '64,128'. */
function counts(text: string): number[] {
  return text.split(',').map(integer(1, MOST_GPUS));
}

interface CommandOptions extends GlobalOptions, SearchOptions {
  readonly plot?: string;
  readonly report?: string;
}

const OTHER = {
  plot: 'Name another place with --plot.',
  report: 'Name another place with --report.',
} as const;

export function describeSearch(command: Command): Command {
  return command
    .description(
      'Every layout of so many GPUs under every consistent reading, pruned by memory and simulated: those that nothing beats ' +
        'in TTFT, throughput, memory and GPUs, and what beats a given one and why. Ctrl-C keeps what was found. Needs no GPU.',
    )
    .requiredOption('--model <name>', 'a model, or the path of its config.json')
    .requiredOption('--hardware <name>', 'a100, h100-sxm, h200, b200, ..., or a JSON file')
    .requiredOption('--gpus <n>', 'how many, or several to compare: 64,128', counts)
    .option('--layout <axes>', 'ep=..,pp=..,tp=..,dp=..: where it stands among the others')
    .option('--ttft <time>', 'the most that the mean may be, as 10s', milliseconds)
    .option('--tpot <time>', 'the same, as 50ms', milliseconds)
    .option('--isl <n>', 'tokens in; lengths are uniform in 0.8 to 1.0 of it (default: 1024)', integer(1))
    .option('--osl <n>', 'tokens out, the same', integer(1))
    .option('--concurrency <n>', 'requests at once (default: 4 a GPU)', integer(1, 100_000))
    .option('--rate <r>', 'requests a second, in place of a closed loop', moreThan(0))
    .option('--trace <file>', 'arrivals: arrival_s, input_tokens, output_tokens')
    .option('--requests <n>', 'of a rate, that are simulated (default: 1000)', integer(1, 1_000_000))
    .option('--gpus-per-node <n>', 'that reach each other without a network', integer(1, 65536))
    .option('--precision <name>', 'bf16, fp8, fp4, int4 (default: as released)')
    .option('--framework <name>', FRAMEWORK_OPTION)
    .option('--routing <law>', 'uniform, balanced, zipf:1.2, power-law:1.2, or a trace')
    .option('--rounds <n>', 'requests for each that is there at once (default: 5)', integer(1, 100))
    .option('--seed <n>', 'of lengths and arrivals', integer(0, MOST_SEED))
    .option('--threads <n>', 'that simulate (default: one a core)', integer(1, 1024))
    .option('--plot <file>', 'an SVG: all layouts by TTFT and throughput')
    .option('--report <file>', 'the same as a page of HTML, with tables')
    .addHelpText(
      'after',
      `
Examples:
  moebius search --gpus 128 --model card --hardware h100-sxm --ttft 10s --tpot 50ms
  moebius search --gpus 64,128 --model deepseek-v3 --hardware h200 --tpot 50ms
  moebius search --gpus 64 --model deepseek-v3 --hardware h200 --rate 40 --ttft 2s
  moebius search --gpus 128 --model card --hardware h100_64g --plot layouts.svg`,
    )
    .action(async (_options: object, command: Command) => {
      const { plot, report: page, json, ...given } = command.optsWithGlobals<CommandOptions>();
      if (plot !== undefined) await checkOutput(plot, { remedy: OTHER.plot });
      if (page !== undefined) await checkOutput(page, { remedy: OTHER.report });
      const signal = interruption();
      const report = await tellSearch(json === true, (onProgress) =>
        search(chosen({ ...given, onProgress, ...(signal && { signal }) }, OPTIONS)),
      );
      await writeDrawings(report, plot, page);
      if (json === true) await printJson(report);
      else {
        const wrote = [plot, page].filter((path) => path !== undefined).map((path) => `Wrote ${path}.`);
        await printLines([
          ...renderSearch(report, stdoutStyle()),
          ...(wrote.length > 0 ? ['', ...wrote] : []),
        ]);
      }
      if (report.interrupted) {
        throw new CancelledError(
          `interrupted after ${report.simulated} layouts; what was found by then is above`,
        );
      }
    });
}

async function writeDrawings(report: SearchReport, plot?: string, page?: string): Promise<void> {
  if (plot === undefined && page === undefined) return;
  const { drawSearch, pageOfSearch } = await import('./search-drawings.ts');
  if (plot !== undefined) await writeWhole(plot, drawSearch(report), OTHER.plot);
  if (page !== undefined) await writeWhole(page, await pageOfSearch(report), OTHER.report);
}

/**
 * `npm run bench:card`: layers of the `card` preset through the engine, on one rank and on all ranks of a layout:
 * prefill and decoding in tokens per second, and where the time goes.
 */
import { Command } from 'commander';
import { bench as measure, type CardOptions, type CardResult } from './measure.ts';
import { checkResultPlace, keepResult, stampOf } from '../../src/cli/files/keep.ts';
import { atLeast } from '../../src/cli/options.ts';
import { printJson, printLines } from '../../src/cli/output.ts';
import { cliProgress } from '../../src/cli/progress.ts';
import { endWith } from '../../src/cli/run.ts';
import { withGpu } from '../../src/cli/session.ts';
import { CheckError } from '../../src/core/errors.ts';
import { formatNs, formatBytes } from '../../src/core/units.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../src/layout/spec.ts';
import { drawFacts, drawTable, paragraph } from '../../src/report/terminal/table.ts';
import { WEIGHT_DTYPES, type WeightDtype } from '../../src/tensor/quantised.ts';

interface Options {
  readonly layers: number;
  readonly weights: WeightDtype;
  readonly prompt: number;
  readonly sequences: number;
  readonly decode: number;
  readonly rounds: number;
  readonly layout: string;
  readonly adapter: string;
  readonly json?: boolean;
  readonly out?: string;
}

const program = new Command('bench:card')
  .description(
    'Runs layers of the card preset (D 1024, 16 heads of 64, 16 experts, top-2, F 2048) with random weights through ' +
      'the engine, on one rank and on all ranks of a layout: one sequence, and as many as fill the layout.',
  )
  .option('--layers <n>', 'layers of the model, a multiple of the stages', atLeast(1), 4)
  .option('--weights <dtype>', `storage of matrices: ${WEIGHT_DTYPES.join(', ')}`, 'int8')
  .option('--prompt <tokens>', 'tokens of the prompt', atLeast(1), 512)
  .option('--sequences <n>', 'sequences that the prompt is cut into for the layout', atLeast(1), 16)
  .option('--decode <tokens>', 'tokens to decode after it', atLeast(1), 8)
  .option('--rounds <n>', 'samples of each', atLeast(2), 5)
  .option('--layout <axes>', 'ep, pp, tp and dp', formatLayout(CARD_LAYOUT))
  .option('--adapter <name>', 'auto, or part of an adapter name', 'auto')
  .option('--out <file>', 'where the result goes (default: results/card-<time>.json)')
  .option('--json', 'the whole result on stdout')
  .exitOverride();

async function run(options: Options): Promise<void> {
  await checkResultPlace(options.out);
  const wanted: CardOptions = { ...options, layout: parseLayout(options.layout) };
  const progress = cliProgress(options.json === true);
  const result = await withGpu(options, (gpu) =>
    progress.step(`Layers on ${gpu.facts.name}`, (say) => measure(gpu, wanted, say)),
  );
  const text = `${JSON.stringify(result, null, 1)}\n`;
  await keepResult(options.out, `card-${stampOf(result.date)}.json`, text, (place) =>
    options.json === true
      ? printJson(result)
      : printLines([...render(result), ...(place === undefined ? [] : [`  All samples are in ${place}.`])]),
  );
  if (!result.pass) throw new CheckError('the ranks of the layout and one rank give different logits');
}

function render(result: CardResult): string[] {
  const rows = result.runs.map((r) => [
    r.name,
    r.state,
    String(r.tokens),
    formatNs(r.summary.median),
    (r.tokens / (r.summary.median / 1e9)).toFixed(1),
    String(r.dispatches),
  ]);
  const heads = ['run', 'ranks', 'tokens', 'time', 'tokens/s', 'dispatches'];
  return [
    ...drawFacts([
      ['adapter', `${result.adapter.name} (${result.adapter.kind}), ${result.adapter.driver}`],
      ['model', `${result.layers} layers of the card preset, ${result.weights} matrices, random`],
      ['date', result.date],
      ['memory', result.memory.map(({ name, bytes }) => `${name}: ${formatBytes(bytes)}`).join('; ')],
    ]),
    '',
    ...drawTable(
      heads.map((head, i) => ({ head, align: i < 2 ? ('left' as const) : ('right' as const) })),
      rows,
    ),
    ...paragraph(
      `Medians of ${result.rounds} rounds by the host clock, from planning a step to having its logits. All ranks ` +
        `run in turn on the one adapter. Logits of the layout and of one rank differ by ${result.logitsError.toExponential(1)} of the largest.`,
    ),
    '',
    ...drawTable(
      [{ head: 'ratio of the layout to one rank' }, { head: 'value', align: 'right' }],
      result.ratios.map(({ name, value }) => [name, value.toFixed(2)]),
    ),
    '',
    ...drawTable(
      [
        { head: 'phase of the prompt on one rank' },
        { head: 'GPU time', align: 'right' },
        { head: 'share', align: 'right' },
      ],
      result.phases.map(({ phase, ns, share }) => [phase, formatNs(ns), `${(100 * share).toFixed(0)} %`]),
    ),
  ];
}

program.action((options: Options) => run(options));
await endWith('bench:card', process.argv.includes('--json'), async () => {
  await program.parseAsync(process.argv);
});

/** `npm run bench:peers`: this project beside what a user would take instead, in one process on one adapter. */
import { Command } from 'commander';
import { CheckError } from '../../src/core/errors.ts';
import { NS_PER_MS, NS_PER_S } from '../../src/core/units.ts';
import { checkResultPlace, keepResult, stampOf } from '../../src/cli/files/keep.ts';
import { atLeast } from '../../src/cli/options.ts';
import { printJson, printLines } from '../../src/cli/output.ts';
import { commitHere, versionsHere } from '../../src/cli/package.ts';
import { cliProgress } from '../../src/cli/progress.ts';
import { endWith } from '../../src/cli/run.ts';
import { installPeers, peersInstalled, peerVersions } from './install.ts';
import { playRow, type MatchOptions, type MatchResult } from './match.ts';
import { openHost } from './host.ts';
import { chosenRows, peerRows } from './rows.ts';
import { headingLines, rowLines, summaryLines, type Heading } from './table.ts';
import { ownFaults, verdictsOf } from './verdict.ts';

interface Options {
  readonly only?: string;
  readonly quick?: boolean;
  readonly json?: boolean;
  readonly budget?: number;
  readonly adapter: string;
  readonly list?: boolean;
  readonly out?: string;
}

/** Seconds for all rounds of all rows; checks and first runs come on top. */
const SECONDS = { quick: 60, full: 300 } as const;

const program = new Command('bench:peers')
  .description(
    'Measures this project against ONNX Runtime (WebGPU and CPU) and TensorFlow.js (WebGPU): same adapter, same ' +
      'inputs, weights resident, results checked against float64, everyone timed in turns by the host clock.',
  )
  .option('--only <rows>', 'groups, or group/part of a name, with commas between: gemm,moe/T=1')
  .option('--list', 'names of the rows, and end')
  .option('--quick', 'few rounds')
  .option(
    '--budget <seconds>',
    `time for all rounds (default: ${SECONDS.full}, quick ${SECONDS.quick})`,
    atLeast(0),
  )
  .option('--adapter <name>', 'auto, or part of an adapter name', 'auto')
  .option('--out <file>', 'where the result goes (default: results/peers-<time>.json)')
  .option('--json', 'the whole result on stdout')
  .exitOverride();

async function bench(options: Options): Promise<void> {
  const rows = chosenRows(options.only);
  if (options.list === true) return printLines(peerRows.map(({ group, name }) => `${group}/${name}`));
  await checkResultPlace(options.out);
  if (!peersInstalled()) installPeers();
  const date = new Date().toISOString();
  const { host, adapters } = await openHost(options.adapter);
  const heading: Heading = { date, adapters, versions: { ...versionsHere(), ...peerVersions() } };
  if (options.json !== true) await printLines([...headingLines(heading), '']);

  const progress = cliProgress(options.json === true);
  const results: MatchResult[] = [];
  for (const row of rows) {
    const title = `${row.group} ${row.name}`;
    const result = await progress.step(title, (say) =>
      playRow(row, host, matchOptions(options, rows.length, say)),
    );
    results.push(result);
    if (options.json !== true) await printLines([...rowLines(result), '']);
  }

  const file = { kind: 'peers', commit: commitHere() ?? null, ...heading, rows: results.map(recordOf) };
  const text = `${JSON.stringify(file, null, 1)}\n`;
  await keepResult(options.out, `peers-${stampOf(date)}.json`, text, (place) =>
    options.json === true
      ? printJson(file)
      : printLines([
          ...summaryLines(results),
          ...(place === undefined ? [] : [`All samples are in ${place}.`]),
        ]),
  );
  const faults = ownFaults(results);
  if (faults.length > 0) throw new CheckError(faults.join('; '));
}

function matchOptions(options: Options, numRows: number, say: (text: string) => void): MatchOptions {
  const quick = options.quick === true;
  const seconds = options.budget ?? (quick ? SECONDS.quick : SECONDS.full);
  return {
    budgetNs: (seconds * NS_PER_S) / numRows,
    minRounds: quick ? 2 : 5,
    maxRounds: quick ? 6 : 25,
    windowNs: 20 * NS_PER_MS,
    now: () => Number(process.hrtime.bigint()),
    say,
  };
}

function recordOf(result: MatchResult): object {
  const { row, standings, absent, wallNs } = result;
  const { group, name, flops } = row;
  return { group, name, flops: flops ?? null, standings, absent, verdicts: verdictsOf(result), wallNs };
}

await endWith('bench:peers', process.argv.includes('--json'), async () => {
  program.parse();
  await bench(program.opts());
});

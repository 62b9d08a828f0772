/**
 * `npm run fit:serving -- <folder>`: fits the figures of serving frameworks to InferenceX's measurements, then leaves out each
 * model and each hardware in turn, and writes both into `src/planner`. The folder holds `inferencex/serving.csv`.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { quantileOf } from '../../../src/hardware/curves/accuracy.ts';
import { fitted } from './fit.ts';
import { EVERY, leftOut, type Judged } from './left-out.ts';
import { figuresOf, MEASURED, PLACES, SHIPPED, TYPICAL } from './parameters.ts';
import { servingRows, type ServingRow } from './rows.ts';
import { usualFramework } from '../../../src/planner/serving/framework.ts';
import { simulated, type Simulated } from './surrogate.ts';
import { tableLines } from './table.ts';

/** A fit to priced steps, then the steps anew: so many times. */
const ROUNDS = 2;
const PLANNER = fileURLToPath(new URL('../../../src/planner/', import.meta.url));
const significant = (value: number): string => String(Number(value.toPrecision(4)));
const rounded = (logs: readonly number[]): number[] =>
  logs.map((value) => Math.log(Number(significant(Math.exp(value)))));
const tell = (text: string): void => void process.stderr.write(`${text}\n`);

/** A row and what one way of leaving out says of it. */
interface Told {
  readonly row: ServingRow;
  readonly tpotMs: number;
  readonly ttftMs: number;
  readonly queueing: number;
}

/** Factors of the 80 % interval: tenth and ninetieth percentile of measured / predicted over what was left out. */
function spreadLines(judged: readonly Judged[]): string[] {
  const rateOf = ({ row }: Told, ttftMs: number, tpotMs: number): number =>
    1 / (ttftMs + tpotMs * (Number(row.cells.osl) - 1));
  const kind = (name: string, some: readonly Told[]): string => {
    const of = (quantity: string, take: (one: Told) => number): string => {
      const ratios = some.map(take).filter((ratio) => ratio > 0);
      return `${quantity}: [${significant(quantileOf(ratios, 0.1))}, ${significant(quantileOf(ratios, 0.9))}]`;
    };
    const quantities = [
      of('tpot', ({ row, tpotMs }) => row.tpotMs / tpotMs),
      of('ttft', ({ row, ttftMs, queueing }) => (queueing < 0.3 ? row.ttftMs / ttftMs : NaN)),
      of('rate', (one) => rateOf(one, one.row.ttftMs, one.row.tpotMs) / rateOf(one, one.ttftMs, one.tpotMs)),
    ];
    return `    ${name}: { ${quantities.join(', ')} },`;
  };
  const both = (name: string, told: readonly Told[]): string[] => [
    `  ${name}: {`,
    kind(
      'mixture',
      told.filter(({ row }) => row.mixture),
    ),
    kind(
      'dense',
      told.filter(({ row }) => !row.mixture),
    ),
    '  },',
  ];
  const named = judged.flatMap(({ row, tpotMs, ttftMs, queueing }) =>
    tpotMs.map((tpot, i) => ({ row, tpotMs: tpot, ttftMs: ttftMs[i] ?? NaN, queueing })),
  );
  return [
    '',
    '/**',
    ' * Measured / projected of families that were left out: the quantiles 0.1 and 0.9, of mixtures and of dense models, where the',
    ' * framework has a name and where it has none.',
    ' */',
    'export const SPREAD = {',
    ...both('named', named),
    ...both(
      'unnamed',
      judged.map(({ row, unnamed }) => ({ row, ...unnamed })),
    ),
    '} as const;',
  ];
}

function figureLines(logs: readonly number[]): string[] {
  const values = PLACES.map(({ name }, i) => ({ name, text: significant(Math.exp(logs[i] ?? NaN)) }));
  return [
    '/** Made by bench/fit/serving/main.ts: factors and us, fitted to all serving measurements (`Fitted`, `Framework` say of what). */',
    'export const FIGURES = {',
    ...values.filter(({ name }) => !name.includes('.')).map(({ name, text }) => `  ${name}: ${text},`),
    '} as const;',
    '',
    'export const OF_FRAMEWORK = {',
    ...MEASURED.map((framework) => {
      const own = values.filter(({ name }) => name.startsWith(`${framework}.`));
      return `  ${framework}: { ${own.map(({ name, text }) => `${name.split('.')[1]}: ${text}`).join(', ')} },`;
    }),
    '} as const;',
  ];
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  tell('npm run fit:serving -- <folder of measurements>');
  process.exitCode = 2;
} else {
  const rows = servingRows(folder);
  const simulate = (some: readonly ServingRow[], logs: readonly number[]): Simulated[] =>
    some.flatMap((row) => {
      const one = simulated(row, figuresOf(logs));
      return one === undefined ? [] : [one];
    });
  const some = rows.filter((_, i) => i % EVERY === 0);
  let logs: readonly number[] = SHIPPED;
  for (let round = 0; round < ROUNDS; round++) {
    logs = rounded(fitted(simulate(some, logs), logs));
    tell(`round ${round + 1}`);
  }
  const few = some.map((row) => ({ ...row, backend: 'typical' as const }));
  for (let round = 0; round < ROUNDS; round++) logs = rounded(fitted(simulate(few, logs), logs, TYPICAL));
  const sims = simulate(rows, logs);
  tell(`${sims.length} of ${rows.length} rows fit their memory`);
  const known = new Map(sims.map((one) => [`${one.row.backend} ${one.row.id}`, one]));
  const unnamed = rows.flatMap((row) => {
    const { name } = usualFramework(row.model.name);
    return known.get(`${name} ${row.id}`) ?? simulate([{ ...row, backend: name }], logs);
  });
  const judged = leftOut({ sims, unnamed, typical: simulate(few, logs), logs, tell });
  const figures = [...figureLines(logs), ...spreadLines(judged)];
  writeFileSync(`${PLANNER}serving/figures.ts`, `${figures.join('\n')}\n`);
  writeFileSync(`${PLANNER}accuracy/left-out.ts`, `${tableLines(sims, judged).join('\n')}\n`);
}

/**
 * `npm run fit:serving -- <folder>`: fits the figures of serving frameworks to InferenceX's measurements, then leaves out each
 * model and each hardware in turn, and writes both into `src/planner`. The folder holds `inferencex/serving.csv`.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { quantileOf } from '../../../src/hardware/curves/accuracy.ts';
import { fitted } from './fit.ts';
import { leftOut, type Judged } from './left-out.ts';
import { figuresOf, MEASURED, PLACES, SHIPPED } from './parameters.ts';
import { servingRows, type ServingRow } from './rows.ts';
import { simulated, type Simulated } from './surrogate.ts';
import { tableLines } from './table.ts';

/** A fit to priced steps, then the steps anew: so many times. */
const ROUNDS = 2;
/** Of all rows, spread evenly, one in so many is fitted to: two dozen figures need no more. All are judged. */
const EVERY = 5;

const PLANNER = fileURLToPath(new URL('../../../src/planner/', import.meta.url));
const significant = (value: number): string => String(Number(value.toPrecision(4)));
const tell = (text: string): void => void process.stderr.write(`${text}\n`);

/** Factors of the 80 % interval: tenth and ninetieth percentile of measured / predicted over what was left out. */
function spreadLines(judged: readonly Judged[]): string[] {
  const last = ({ row }: Judged): number => Number(row.cells.osl) - 1;
  const rateOf = (one: Judged, ttftMs: number, tpotMs: number): number => 1 / (ttftMs + tpotMs * last(one));
  const kind = (name: string, some: readonly Judged[]): string => {
    const of = (quantity: string, take: (one: Judged) => readonly number[]): string => {
      const ratios = some.flatMap(take).filter((ratio) => ratio > 0);
      return `${quantity}: [${significant(quantileOf(ratios, 0.1))}, ${significant(quantileOf(ratios, 0.9))}]`;
    };
    const quantities = [
      of('tpot', ({ row, tpotMs }) => tpotMs.map((ms) => row.tpotMs / ms)),
      of('ttft', ({ row, ttftMs, queueing }) => (queueing < 0.3 ? ttftMs.map((ms) => row.ttftMs / ms) : [])),
      of('rate', (one) =>
        one.tpotMs.map(
          (ms, i) => rateOf(one, one.row.ttftMs, one.row.tpotMs) / rateOf(one, one.ttftMs[i] ?? NaN, ms),
        ),
      ),
    ];
    return `  ${name}: { ${quantities.join(', ')} },`;
  };
  return [
    '',
    '/** Measured / projected of families that were left out: the quantiles 0.1 and 0.9, of mixtures and of dense models. */',
    'export const SPREAD = {',
    kind(
      'mixture',
      judged.filter(({ row }) => row.mixture),
    ),
    kind(
      'dense',
      judged.filter(({ row }) => !row.mixture),
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
    logs = fitted(simulate(some, logs), logs).map((value) => Math.log(Number(significant(Math.exp(value)))));
    tell(`round ${round + 1}`);
  }
  const sims = simulate(rows, logs);
  tell(`${sims.length} of ${rows.length} rows fit their memory`);
  const judged = leftOut(sims, logs, EVERY, tell);
  const figures = [...figureLines(logs), ...spreadLines(judged)];
  writeFileSync(`${PLANNER}serving/figures.ts`, `${figures.join('\n')}\n`);
  writeFileSync(`${PLANNER}accuracy/left-out.ts`, `${tableLines(sims, judged).join('\n')}\n`);
}

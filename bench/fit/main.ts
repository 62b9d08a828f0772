/**
 * `npm run fit -- <folder>`: packs published measurements into `src/hardware/data`, fits the parameters of every family's
 * formula to them, and judges each by shapes that were left out. The folder holds the tables that README.md names.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FAMILIES, measuredGroups, type GroupFit } from '../../src/hardware/curves/families.ts';
import { leaveOut } from '../../src/hardware/curves/judge.ts';
import { fittedParameters } from './fit.ts';
import { dataModules } from './tables.ts';

const DATA = fileURLToPath(new URL('../../src/hardware/data/', import.meta.url));

/** Texts in single quotes: packed curves hold double quotes never, and no backslash. */
function write(file: string, lines: readonly string[]): void {
  writeFileSync(join(DATA, `${file}.ts`), `${lines.join('\n')}\n`);
}

/** A group of fewer cells takes the bounds of its family: its own would be chance. A guess. */
const LEAST_CELLS = 100;

const significant = (value: number): number => Number(value.toPrecision(4));

/** Value below which the share `p` of the sorted ones lies. */
function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? NaN;
}

function pack(folder: string): void {
  for (const { file, tables } of dataModules(folder)) {
    write(file, [
      '/** Made by bench/fit/main.ts: published measurements, two characters a time. */',
      "import type { PackedTable } from '../curves/pack.ts';",
      ...tables.flatMap(({ name, source, columns, knots, rows }) => [
        '',
        `/** ${source}. */`,
        `export const ${name}: PackedTable = {`,
        `  source: '${source}',`,
        `  columns: '${columns.join(' ')}'.split(' '),`,
        `  knots: '${knots.join(' ')}'.split(' ').map(Number),`,
        `  rows: '${rows}',`,
        '};',
      ]),
    ]);
  }
}

function fits(): Record<string, Record<string, GroupFit>> {
  const found: Record<string, Record<string, GroupFit>> = {};
  for (const family of FAMILIES) {
    const groups = [...measuredGroups(family)].map(([group, rows]) => {
      const parameters = fittedParameters(family, group, rows).map(significant);
      const off = leaveOut(family, group, parameters, rows).map(({ error, deviation }) => error / deviation);
      process.stderr.write(`${family.name} ${group}: ${off.length} cells\n`);
      return { group, parameters, off };
    });
    const everyone = groups.flatMap(({ off }) => off);
    found[family.name] = Object.fromEntries(
      groups.map(({ group, parameters, off }) => {
        const of = off.length >= LEAST_CELLS ? off : everyone;
        return [
          group,
          { parameters, low: significant(quantile(of, 0.1)), high: significant(quantile(of, 0.9)) },
        ];
      }),
    );
  }
  return found;
}

const [folder, only] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('npm run fit -- <folder of measurements> [pack|fit]\n');
  process.exitCode = 2;
} else {
  if (only !== 'fit') pack(folder);
  if (only !== 'pack') {
    write('fits', [
      '/** Made by bench/fit/main.ts: family | group | parameters | quantiles 0.1 and 0.9 of what was left out. */',
      'export const FITS: readonly string[] = [',
      ...Object.entries(fits()).flatMap(([family, groups]) =>
        Object.entries(groups).map(
          ([group, { parameters, low, high }]) =>
            `  '${family} | ${group} | ${parameters.join(' ')} | ${low} ${high}',`,
        ),
      ),
      '];',
    ]);
  }
}

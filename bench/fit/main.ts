/**
 * `npm run fit -- <folder>`: packs published measurements into `src/hardware/data`, fits the parameters of every family's
 * formula to them, and judges each by shapes that were left out. The folder holds the tables that README.md names.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataModules } from './tables.ts';

const [folder, only] = process.argv.slice(2);
const DATA = fileURLToPath(new URL('../../src/hardware/data/', import.meta.url));

/** Texts in single quotes: packed curves hold double quotes never, and no backslash. */
function write(file: string, lines: readonly string[]): void {
  writeFileSync(join(DATA, `${file}.ts`), `${lines.join('\n')}\n`);
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

if (folder === undefined) {
  process.stderr.write('npm run fit -- <folder of measurements> [pack|fit|bounds]\n');
  process.exitCode = 2;
} else {
  if (only === undefined || only === 'pack') pack(folder);
  if (only !== 'pack') {
    // The families read what was packed just now.
    const { fits } = await import('./fits.ts');
    write('fits', [
      '/** Made by bench/fit/main.ts: family | group | parameters | quantiles 0.1 and 0.9 of what was left out. */',
      'export const FITS: readonly string[] = [',
      ...Object.entries(fits(only === 'bounds')).flatMap(([family, groups]) =>
        Object.entries(groups).map(
          ([group, { parameters, low, high }]) =>
            `  '${family} | ${group} | ${parameters.join(' ')} | ${low} ${high}',`,
        ),
      ),
      '];',
    ]);
  }
}

/** `moebius export`: result files as a table for other programs. */
import { Option, type Command } from 'commander';
import { ConfigError } from '../../core/errors.ts';
import { requireOptions, type Fields } from '../../core/given.ts';
import { csvOf, markdownOf } from '../../report/file/export.ts';
import { tableOf, type TableRow } from '../../report/file/rows.ts';
import { checkOutput, OTHER_OUT, writeWhole } from '../files/files.ts';
import { readResultAt } from '../files/read-result.ts';
import type { GlobalOptions } from '../options.ts';
import { printJson, write } from '../output.ts';

const FORMATS = ['csv', 'md'] as const;

/** Options of `exportRows`. */
export interface ExportOptions {
  /** Result files of `moebius bench`. */
  readonly files: readonly string[];
}

const OPTIONS: Fields = { files: 'list' };

/**
 * Result files as one flat table: a row per kernel, ceiling, pass and host task of each.
 * @throws ConfigError for files that are no results.
 */
export async function exportRows(options: ExportOptions): Promise<TableRow[]> {
  requireOptions('exportRows', options, OPTIONS);
  const { files } = options;
  const tables = files.map(async (path) => tableOf(await readResultAt(path), path));
  return (await Promise.all(tables)).flat();
}

interface CommandOptions extends GlobalOptions {
  readonly format?: (typeof FORMATS)[number];
  readonly out?: string;
}

export function describeExport(command: Command): Command {
  return command
    .description(
      'Writes result files of moebius bench as one table: a row per kernel, ceiling, pass and host task with its ' +
        'median, interval and extremes, or the reason why it has none. In CSV a text that a sheet would take for a ' +
        'formula begins with an apostrophe.',
    )
    .argument('<file...>', 'result files')
    .addOption(new Option('--format <name>', 'of the table').choices([...FORMATS]).default('csv'))
    .option('--out <file>', 'where it goes (default: stdout)')
    .addHelpText(
      'after',
      `
Examples:
  moebius export results/*.json --out results.csv
  moebius export result.json --format md`,
    )
    .action(async (files: readonly string[], _options: object, command: Command) => {
      const { format = 'csv', out, json } = command.optsWithGlobals<CommandOptions>();
      if (json === true && out === undefined) {
        throw new ConfigError(
          'export has --format in place of --json: csv or md. With --out, --json tells what was written.',
        );
      }
      if (out !== undefined) await checkOutput(out, { inputs: files, remedy: OTHER_OUT });
      const rows = await exportRows({ files });
      const text = format === 'csv' ? csvOf(rows) : markdownOf(rows);
      if (out === undefined) return write(process.stdout, text);
      await writeWhole(out, text, OTHER_OUT);
      if (json === true) await printJson({ out, format, rows: rows.length });
      else await write(process.stdout, `${out}: ${rows.length} rows.\n`);
    });
}

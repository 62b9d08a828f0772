/** `moebius report`: a result file as one page of HTML, without script, that opens anywhere. */
import type { Command } from 'commander';
import { compareRuns } from '../../compare/compare.ts';
import { ConfigError } from '../../core/errors.ts';
import { requireOptions, type Fields } from '../../core/given.ts';
import { printable } from '../../core/text/printable.ts';
import { formatBytes } from '../../core/units.ts';
import { comparedRun } from '../../report/file/compared-runs.ts';
import type { StoredBenchResult } from '../../report/file/schema.ts';
import { verdictSentence } from '../../report/findings.ts';
import { checkOutput, OTHER_OUT, writeWhole } from '../files/files.ts';
import type { GlobalOptions } from '../options.ts';
import { printJson, printLines } from '../output.ts';
import { readResultAt } from '../files/read-result.ts';
import { sidesOf } from '../files/sides.ts';
import { renderReport } from '../../report/page.ts';
import { paragraph } from '../../report/terminal/table.ts';

/** Options of `report`. */
export interface ReportOptions {
  /** Result files of `moebius bench`. The last is told. */
  readonly files: readonly string[];
  /** Result files to compare `files` with. */
  readonly before?: readonly string[];
}

interface Read {
  readonly path: string;
  readonly result: StoredBenchResult;
}

const OPTIONS: Fields = { files: 'list', before: 'list?' };

/**
 * One page of HTML about a result file, without script, that opens offline.
 * @throws ConfigError for files that are no results, or that cannot be compared.
 */
export async function report(options: ReportOptions): Promise<string> {
  requireOptions('report', options, OPTIONS);
  const { files, before = [] } = options;
  return (await reportOf({ files, before })).html;
}

async function reportOf({ files, before = [] }: ReportOptions): Promise<Read & { readonly html: string }> {
  const [a, b] = await Promise.all([readAll(before), readAll(files)]);
  const told = b.at(-1);
  if (told === undefined)
    throw new ConfigError('report needs a result file of moebius bench; none was given.');
  const runs = (side: readonly Read[]) => side.map(({ result, path }) => comparedRun(result, path));
  const labels = { a: before, b: files };
  const comparison = a.length === 0 ? undefined : { found: compareRuns(runs(a), runs(b)), labels };
  const { parseHTML } = await import('linkedom');
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const html = await renderReport(
    { result: told.result, label: told.path, ...(comparison && { comparison }) },
    document,
  );
  return { ...told, html };
}

function readAll(paths: readonly string[]): Promise<Read[]> {
  return Promise.all(paths.map(async (path) => ({ path, result: await readResultAt(path) })));
}

const BETWEEN = {
  what: 'those before and those after',
  usage: 'moebius report A... -- B... --out report.html',
};

interface CommandOptions extends GlobalOptions {
  readonly out: string;
}

export function describeReport(command: Command): Command {
  return command
    .description(
      'Writes one page of HTML about a result file of moebius bench: verdict, where to look first, stages, roofline, ' +
        'every kernel, and with files before and after what differs. It holds no script, needs no network, and has the ' +
        'result itself inside.',
    )
    .argument(
      '<file...>',
      'a result file; or A... -- B..., or just A B: the last is told, and B compared with A',
    )
    .requiredOption('--out <file>', 'where the page goes')
    .addHelpText(
      'after',
      `
Examples:
  moebius report results/20260131-174509-llvmpipe.json --out report.html
  moebius report before.json after.json --out report.html
  moebius report old-*.json -- new-*.json --out report.html`,
    )
    .action(async (files: readonly string[], _options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const [before, told] = files.length === 1 ? [[], files] : sidesOf(files, command, BETWEEN);
      await checkOutput(given.out, { inputs: files, remedy: OTHER_OUT });
      const { html, result, path } = await reportOf({ files: told, before });
      await writeWhole(given.out, html, OTHER_OUT);
      const bytes = new TextEncoder().encode(html).length;
      if (given.json)
        return printJson({ out: given.out, bytes, result: path, outcome: result.verdict.outcome });
      await printLines([
        // A file may colour its words as we do.
        ...paragraph(printable(verdictSentence(result)), ''),
        `${given.out}: ${formatBytes(bytes)}, opens in any browser without a network.`,
      ]);
    });
}

/** `moebius accuracy`: how far the curves are off at shapes that they were not given, region by region. */
import type { Command } from 'commander';
import { ConfigError } from '../../../core/errors.ts';
import { chosen, requireOptions, type Fields } from '../../../core/given.ts';
import { quoted } from '../../../core/text/quoted.ts';
import { formatPercent } from '../../../core/units.ts';
import { kernelAccuracy, type RegionAccuracy } from '../../../hardware/curves/accuracy.ts';
import { replayAccuracy } from '../../../planner/accuracy/replay.ts';
import { rankingAccuracy, servingAccuracy } from '../../../planner/accuracy/serving.ts';
import { drawTable, paragraph } from '../../../report/terminal/table.ts';
import type { Style } from '../../../report/terminal/style.ts';
import { refuseIdle, type GlobalOptions } from '../../options.ts';
import { printJson, printLines, stdoutStyle } from '../../output.ts';
import { cliProgress } from '../../progress.ts';

/** Options of `accuracy`, those of `moebius accuracy`. */
export interface AccuracyOptions {
  /** Part of a region's name: 'moe h100'. All when absent. */
  readonly region?: string;
}

/** Errors on rows that were left out. */
export interface AccuracyReport {
  /** Each operation over all its regions. */
  readonly overall: readonly RegionAccuracy[];
  readonly regions: readonly RegionAccuracy[];
}

const OPTIONS: Fields = { region: 'string?' };

/** What tells regions and their errors: kernels and links, whole servers, and which layout they choose. */
const PARTS: readonly ((part: string) => AccuracyReport)[] = [
  kernelAccuracy,
  servingAccuracy,
  rankingAccuracy,
  replayAccuracy,
];

/**
 * How far projections are off where they were not fitted.
 * @throws ConfigError for a region that there is not.
 */
export function accuracy(options: AccuracyOptions = {}): AccuracyReport {
  requireOptions('accuracy', options, OPTIONS);
  const { region = '' } = options;
  const parts = PARTS.map((part) => part(region));
  const regions = parts.flatMap((part) => part.regions);
  if (regions.length === 0) {
    throw new ConfigError(`no region has ${quoted(region)} in its name. moebius accuracy lists them all.`);
  }
  return { overall: parts.flatMap((part) => part.overall), regions };
}

function render({ overall: all, regions }: AccuracyReport, style: Style): string[] {
  const right = 'right' as const;
  const cells = (region: RegionAccuracy): string[] => [
    [region.operation, region.hardware, region.kind, region.model, region.layout]
      .filter((part) => part !== '')
      .join(' '),
    String(region.rows),
    formatPercent(region.median),
    formatPercent(region.p90),
    formatPercent(region.covered),
    region.noise === null ? '-' : `${formatPercent(region.noise.median)}, ${formatPercent(region.noise.p90)}`,
  ];
  const columns = [
    { head: 'region', least: 24 },
    ...['rows', 'median', 'p90', 'in 80 %'].map((head) => ({ head, align: right })),
    { head: 'noise', align: right, drop: 1 },
  ];
  const kinds = [...new Set(regions.map(({ leftOut }) => leftOut))];
  return [
    style.bold('Errors of projections on rows that were left out (modelled, against measured)'),
    ...drawTable(
      columns,
      all.map((region) => [
        `${region.operation}${region.hardware !== 'all' || region.kind === '' ? '' : ` of ${region.kind}`}: ${region.leftOut}`,
        ...cells(region).slice(1),
      ]),
      style.width,
    ),
    ...kinds.flatMap((leftOut) => [
      '',
      style.bold(`Left out together: ${leftOut}`),
      ...drawTable(columns, regions.filter((region) => region.leftOut === leftOut).map(cells), style.width),
    ]),
    '',
    ...paragraph(
      'in 80 %: share of the rows within their 80 % interval. noise: what repeats of one measurement differ by, median and p90.',
    ),
  ];
}

interface CommandOptions extends GlobalOptions {
  readonly region?: string;
  readonly own?: boolean;
}

export function describeAccuracy(command: Command): Command {
  return command
    .description(
      'How far projections are off where they were not fitted: shapes, layouts and models are left out in turn and ' +
        'predicted by the others. Needs no GPU.',
    )
    .option('--region <part>', 'only regions with this in their name: "gemm h100"')
    .option('--own', "whole steps of our own engine on this adapter, told from kernels' times")
    .addHelpText(
      'after',
      `
Examples:
  moebius accuracy --region gemm
  moebius accuracy --own --adapter llvmpipe
  moebius accuracy --json`,
    )
    .action(async (_options: object, command: Command) => {
      const { json, own, adapter, ...given } = command.optsWithGlobals<CommandOptions>();
      refuseIdle(command, [[own === true, ['region'], '--own measures steps, which are in no region']]);
      if (own === true) {
        const { ownAccuracy, renderOwn } = await import('./own.ts');
        const found = await ownAccuracy({ adapter, progress: cliProgress(json === true) });
        return json === true ? printJson(found) : printLines(renderOwn(found, stdoutStyle()));
      }
      const report = accuracy(chosen(given, OPTIONS));
      await (json === true ? printJson(report) : printLines(render(report, stdoutStyle())));
    });
}

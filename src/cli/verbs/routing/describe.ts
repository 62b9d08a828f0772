/** The command line of `moebius routing`. */
import type { Command } from 'commander';
import { chosen } from '../../../core/given.ts';
import { formatNs } from '../../../core/units.ts';
import { BALANCERS } from '../../../laboratory/placements.ts';
import { renderQuality } from '../../../report/terminal/routing/quality.ts';
import { renderLoads, renderPlacements, renderPolicies } from '../../../report/terminal/routing/tables.ts';
import { paragraph } from '../../../report/terminal/table.ts';
import { OVERFLOW_POLICIES } from '../../../routing/policies.ts';
import { TRACE_GENERATORS } from '../../../routing/trace/generate.ts';
import { checkOutput, writeWhole } from '../../files/files.ts';
import { collect, integer, MOST_SEED, refuseIdle, type GlobalOptions } from '../../options.ts';
import { printJson, printLines, stdoutStyle } from '../../output.ts';
import { cliProgress } from '../../progress.ts';
import { DEFAULT_CAPACITIES, routingQuality } from './quality.ts';
import { BUNDLED_TRACES } from './load-trace.ts';
import { DEFAULT_CAPACITY } from './capacity-option.ts';
import {
  DEFAULT_MICRO_BATCHES,
  DEFAULT_WIDTHS,
  routing,
  ROUTING_OPTIONS,
  type RoutingOptions,
  type RoutingReport,
} from './routing.ts';

interface CommandOptions extends GlobalOptions, Omit<RoutingOptions, 'adapter' | 'trace'> {
  readonly trace: string;
  readonly policy: readonly string[];
  readonly quality?: boolean;
  readonly plot?: string;
}

const OTHER_PLOT = 'Name another place with --plot.';

export function describeRouting(command: Command): Command {
  return command
    .description(
      'Runs the routing of one layer through capacity, overflow policies and balancers, and measures the routed layer ' +
        'under the load that each leaves.',
    )
    .option(
      '--trace <name>',
      `a file, ${Object.keys(BUNDLED_TRACES).join(', ')}, or one of ${TRACE_GENERATORS.join(', ')}, as zipf:1.2`,
      'zipf:1.2',
    )
    .option('--experts <n>', 'of a made-up trace: 16; of a file what it has', integer(1, 4096))
    .option('--topk <k>', 'choices of a token: 2; of a file what it has', integer(1, 4096))
    .option('--tokens <n>', '4,096, or as many as the file has', integer(0, 2 ** 17))
    .option('--layer <n>', 'of a file; the most uneven one when absent', integer(0))
    .option('--pick <words>', 'parts of names of model and text, where a file has several')
    .option('--layout <axes>', 'its ep ranks hold the experts; at most 16 ranks when absent')
    .option(
      '--policy <name>',
      `${OVERFLOW_POLICIES.join(', ')}; may be repeated, all when absent`,
      collect,
      [],
    )
    .option(
      '--capacity <rule>',
      'convention (megatron, tutel, switch):factor:scope (rank, global); with --quality a list',
      DEFAULT_CAPACITY,
    )
    .option('--balancer <name>', BALANCERS.join(', '), 'none')
    .option(
      '--slots <n>',
      'of all ranks, for replicas; as many as experts and ranks when absent',
      integer(1, 65_536),
    )
    .option('--groups <n>', 'of experts, for eplb-hierarchical', integer(1, 4096))
    .option('--nodes <n>', 'of ranks, for eplb-hierarchical', integer(1, 4096))
    .option('--micro-batches <n>', 'that the tokens come in', integer(1, 1024), DEFAULT_MICRO_BATCHES)
    .option('--width <n>', 'of the layer that is timed', integer(4, 65_536), DEFAULT_WIDTHS.width)
    .option('--expert-width <n>', 'of its experts', integer(4, 65_536), DEFAULT_WIDTHS.expertWidth)
    .option('--seed <n>', 'of what is made up', integer(0, MOST_SEED), 1)
    .option('--no-time', 'measure nothing; needs no adapter')
    .option(
      '--quality',
      `cross-entropy of tiny-moe under each policy and capacity; capacities ${DEFAULT_CAPACITIES.join(', ')}`,
    )
    .option('--plot <file>', 'an SVG: ranks x experts, load curves, policies; with --quality the losses')
    .addHelpText(
      'after',
      `
Examples:
  moebius routing --trace zipf:1.2 --experts 16 --topk 2
  moebius routing --trace tiny-moe --layout ep=8
  moebius routing --trace zipf:1.2 --balancer bias --policy dropless
  moebius routing --trace trace.json --layout ep=8 --balancer placer --plot load.svg
  moebius routing --quality --capacity 0.75,1,1.25 --plot quality.svg
  moebius routing --trace uniform --experts 256 --topk 8 --no-time --json`,
    )
    .action(async (_options: object, command: Command) => {
      const given = command.optsWithGlobals<CommandOptions>();
      const { plot, policy } = given;
      const hierarchical = given.balancer === 'eplb-hierarchical';
      const none = given.balancer === 'none';
      refuseIdle(command, [
        [!hierarchical && !none, ['groups', 'nodes'], 'only eplb-hierarchical knows groups and nodes'],
        [given.time === false, ['expertWidth'], '--no-time measures nothing'],
      ]);
      const policies = policy.flatMap((names) => names.split(',')).map((name) => name.trim());
      if (given.quality) return runQuality(command, given, policies);
      if (plot !== undefined) await checkOutput(plot, { inputs: [given.trace], remedy: OTHER_PLOT });
      const options = { ...given, ...(policies.length > 0 && { policies }) };
      const report = await routing(chosen(options as RoutingOptions, ROUTING_OPTIONS));
      if (plot !== undefined) {
        const { drawRouting } = await import('./draw.ts');
        await writeWhole(plot, drawRouting(report), OTHER_PLOT);
      }
      if (given.json) return printJson(report);
      await printLines([...renderRouting(report), ...(plot === undefined ? [] : ['', `Wrote ${plot}.`])]);
    });
}

/** Of a trace and of one layer: nothing to a whole model on its own text. */
const NOT_OF_QUALITY = [
  ...['trace', 'experts', 'topk', 'layer', 'pick', 'layout', 'balancer', 'groups', 'nodes'],
  ...['width', 'expertWidth', 'seed', 'time'],
];

async function runQuality(
  command: Command,
  given: CommandOptions,
  policies: readonly string[],
): Promise<void> {
  const { plot, slots, tokens, microBatches, json } = given;
  const spills = policies.length === 0 || policies.includes('spill');
  refuseIdle(command, [
    [true, NOT_OF_QUALITY, '--quality runs the bundled model on its own text'],
    [!spills, ['slots'], 'only spill has replicas'],
  ]);
  if (plot !== undefined) await checkOutput(plot, { remedy: OTHER_PLOT });
  const isGiven = command.getOptionValueSource('capacity') === 'cli';
  const found = await routingQuality({
    ...(policies.length > 0 && { policies }),
    ...(isGiven && given.capacity !== undefined && { capacities: given.capacity.split(',') }),
    ...(slots !== undefined && { slots }),
    ...(tokens !== undefined && { tokens }),
    ...(microBatches !== undefined && { microBatches }),
    progress: cliProgress(json === true),
  });
  if (plot !== undefined) {
    const { drawQualities } = await import('./draw.ts');
    await writeWhole(plot, drawQualities(found), OTHER_PLOT);
  }
  if (json) return printJson(found);
  const style = stdoutStyle();
  await printLines([
    style.bold(`What overflow costs ${found.model}`),
    ...paragraph(
      `${found.predictions} characters of its validation text, in windows of ${found.window} and ${found.microBatches} micro-batches; ` +
        'every layer routes under the capacity.',
    ),
    '',
    ...renderQuality(found.rows, style),
    ...(plot === undefined ? [] : ['', `Wrote ${plot}.`]),
  ]);
}

function renderRouting(report: RoutingReport): string[] {
  const style = stdoutStyle();
  const { trace, tokens, experts, topk, ranks, slots, capacity, balancer, microBatches, floor, balance } =
    report;
  const rule = `${capacity.convention} ${capacity.factor} per ${capacity.scope === 'rank' ? 'source rank' : 'batch'}`;
  const assumed = [
    trace.ids === 'assumed' ? 'which experts a token has (only counts were recorded)' : '',
    trace.scores === 'assumed'
      ? 'the scores (1, 1/2, 1/3 ... renormalised; next-best experts by popularity)'
      : '',
  ].filter((text) => text !== '');
  return [
    style.bold(`Routing of ${trace.name}`),
    ...paragraph(
      `${tokens} tokens in ${microBatches} micro-batches, top-${topk} of ${experts} experts in ${slots} slots on ${ranks} ranks; ` +
        `capacity ${rule}; balancer ${balancer}.` +
        (assumed.length > 0 ? ` Assumed: ${assumed.join('; ')}.` : ''),
    ),
    '',
    ...renderPlacements(report.placements, floor.ranks, style),
    '',
    ...biasLines(report),
    ...renderPolicies(report.policies, style),
    ...timeLines(report),
    '',
    ...renderLoads(report.policies, style),
    ...(balancer === 'none'
      ? []
      : [
          '',
          ...paragraph(
            `Fullest rank over mean: ${balance.before.toFixed(3)} before, ${balance.after.toFixed(3)} with ${balancer}.`,
          ),
        ]),
  ];
}

function biasLines({ bias }: RoutingReport): string[] {
  if (bias === undefined) return [];
  const { maxOverMean: found, firstBelow, steps } = bias;
  const shown = [0, 9, 24, 49, 99, 149, 199]
    .filter((i) => i < found.length)
    .map((i) => `${i + 1}: ${found[i]?.toFixed(3)}`);
  const below = firstBelow === undefined ? 'never below 1.10' : `below 1.10 first in step ${firstBelow}`;
  return [
    ...paragraph(
      `The bias controller over ${steps} steps, fullest expert over mean: ${shown.join(', ')}; ${below}.`,
    ),
    '',
  ];
}

function timeLines({ timeBefore, policies, adapter, clock, widths, tileRows }: RoutingReport): string[] {
  if (adapter === undefined)
    return paragraph(`No time was measured; tiles of ${tileRows.value} rows are assumed.`);
  const of = (ns: number | undefined): string =>
    ns === undefined ? 'nothing that the clock can carry' : formatNs(ns);
  const before = policies.find(({ policy }) => policy === 'dropless')?.time;
  const fell =
    timeBefore === undefined || before === undefined
      ? ''
      : ` Before the balancer the last micro-batch took ${of(timeBefore.fullestRankNs)} on the fullest rank ` +
        `(${timeBefore.rows.fullestRank} rows), with it ${of(before.fullestRankNs)} (${before.rows.fullestRank} rows), dropless.`;
  return paragraph(
    `Times: measured on ${adapter.name} (${clock?.note ?? ''}), the routed layer of width ${widths.width}, experts ${widths.expertWidth}, ` +
      `f32, under the rows of the last micro-batch; tiles of ${tileRows.value} rows.${fell}`,
  );
}

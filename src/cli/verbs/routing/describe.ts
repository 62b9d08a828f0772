/** The command line of `moebius routing`. */
import type { Command } from 'commander';
import { ConfigError } from '../../../core/errors.ts';
import { chosen } from '../../../core/given.ts';
import { BALANCERS } from '../../../laboratory/placements.ts';
import { renderQuality } from '../../../report/terminal/routing/quality.ts';
import { renderCost } from '../../../report/terminal/routing/cost.ts';
import { renderBalancers } from '../../../report/terminal/routing/balancers.ts';
import { paragraph } from '../../../report/terminal/table.ts';
import { OVERFLOW_POLICIES } from '../../../routing/policies.ts';
import { TRACE_GENERATORS } from '../../../routing/trace/generate.ts';
import { WEIGHT_DTYPES } from '../../../tensor/quantised.ts';
import { checkOutput, writeWhole } from '../../files/files.ts';
import { collect, integer, MOST_SEED, refuseIdle, type GlobalOptions } from '../../options.ts';
import { printJson, printLines, stdoutStyle } from '../../output.ts';
import { cliProgress } from '../../progress.ts';
import { DEFAULT_CAPACITIES, routingQuality } from './quality.ts';
import { BUNDLED_TRACES } from './load-trace.ts';
import { DEFAULT_CAPACITY } from './capacity-option.ts';
import { COST_OPTIONS, routingCost, type RoutingCostOptions } from './cost.ts';
import { FLAGS } from './engine-options.ts';
import { BALANCERS_OPTIONS, routingBalancers, type RoutingBalancersOptions } from './balancers.ts';
import { renderRouting } from './render.ts';
import {
  DEFAULT_MICRO_BATCHES,
  DEFAULT_WIDTHS,
  routing,
  ROUTING_OPTIONS,
  type RoutingOptions,
} from './routing.ts';

interface CommandOptions extends GlobalOptions, Omit<RoutingOptions, 'adapter' | 'trace'> {
  readonly trace: string;
  readonly policy: readonly string[];
  readonly quality?: boolean;
  readonly cost?: boolean;
  readonly balancers?: boolean;
  readonly weights?: string;
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
    .option(...FLAGS.placement)
    .option('--steps <n>', 'of the balancer bias: 200', integer(1, 10_000))
    .option(...FLAGS.biasRate)
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
    .option('--weights <dtype>', `of --cost: how matrices are stored, ${WEIGHT_DTYPES.join(', ')}`)
    .option('--seed <n>', 'of what is made up', integer(0, MOST_SEED), 1)
    .option('--no-time', 'measure nothing; needs no adapter')
    .option(
      '--quality',
      `cross-entropy of tiny-moe under each policy and capacity; capacities ${DEFAULT_CAPACITIES.join(', ')}`,
    )
    .option(
      '--cost',
      "what top-k, capacity, plan and the bias take of the layer's time here, at the card preset's sizes",
    )
    .option('--balancers', 'all balancers on the load itself, with the time that each takes')
    .option('--plot <file>', 'an SVG: ranks x experts, load curves, policies; with --quality the losses')
    .addHelpText(
      'after',
      `
Examples:
  moebius routing --trace zipf:1.2 --experts 16 --topk 2
  moebius routing --trace tiny-moe --layout ep=8
  moebius routing --trace zipf:1.2 --balancer bias --policy dropless --steps 200
  moebius routing --trace trace.json --layout ep=8 --balancer placer --plot load.svg
  moebius routing --cost
  moebius routing --cost --layout ep=16 --policy drop-score --weights int8
  moebius routing --balancers --experts 256 --slots 288 --layout ep=32
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
      const modes = [given.quality && '--quality', given.cost && '--cost', given.balancers && '--balancers'];
      const [mode, second] = modes.filter((one) => one);
      if (second) throw new ConfigError(`${mode} and ${second} are measured one at a time; leave one out.`);
      refuseIdle(command, [[!given.cost, ['weights'], 'only --cost measures layers of several dtypes']]);
      if (given.quality) return runQuality(command, given, policies);
      if (given.cost) return runCost(command, given, policies);
      if (given.balancers) return runBalancers(command, given);
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

/** What only the experiment has. */
const OF_EXPERIMENT = ['balancer', 'groups', 'nodes', 'microBatches', 'time', 'steps', 'plot'];

async function runCost(command: Command, given: CommandOptions, policies: readonly string[]): Promise<void> {
  refuseIdle(command, [[true, OF_EXPERIMENT, '--cost runs one layer of an engine']]);
  if (policies.length > 1) {
    throw new ConfigError(`--cost runs one policy, and ${policies.length} are named; run it once for each.`);
  }
  const isGiven = (field: string): boolean => command.getOptionValueSource(field) === 'cli';
  const own = <K extends 'width' | 'expertWidth' | 'capacity'>(field: K): CommandOptions[K] | undefined =>
    isGiven(field) ? given[field] : undefined;
  const options = {
    ...{ ...given, policy: policies[0], progress: cliProgress(given.json === true) },
    ...{ width: own('width'), expertWidth: own('expertWidth'), capacity: own('capacity') },
  };
  const cost = await routingCost(chosen(options as RoutingCostOptions, COST_OPTIONS));
  if (given.json) return printJson(cost);
  const style = stdoutStyle();
  const { adapter, tokens, topk, experts, layout, slots, weights, policy, capacity: rule } = cost;
  await printLines([
    style.bold('What routing costs of a mixture-of-experts layer'),
    ...paragraph(
      `${tokens} tokens of ${cost.trace}, top-${topk} of ${experts} experts in ${slots} slots, ${layout}; width ${cost.width}, experts ` +
        `${cost.expertWidth}, matrices ${weights}; policy ${policy}` +
        (rule === undefined ? '' : `, capacity ${rule.convention} ${rule.factor} per ${rule.scope}`) +
        `; bias rate ${cost.biasRate}. On ${adapter.name} (${adapter.kind}).`,
    ),
    '',
    ...renderCost(cost, style),
  ]);
}

async function runBalancers(command: Command, given: CommandOptions): Promise<void> {
  const idle = [
    ...['policy', 'capacity', 'balancer', 'placement', 'steps', 'biasRate', 'microBatches', 'time', 'plot'],
    ...['width', 'expertWidth'],
  ];
  refuseIdle(command, [[true, idle, '--balancers only places experts']]);
  const found = await routingBalancers(chosen<RoutingBalancersOptions>(given, BALANCERS_OPTIONS));
  if (given.json) return printJson(found);
  await printLines(renderBalancers(found, stdoutStyle()));
}

/** Of a trace and of one layer: nothing to a whole model on its own text. */
const NOT_OF_QUALITY = [
  ...['trace', 'experts', 'topk', 'layer', 'pick', 'layout', 'balancer', 'groups', 'nodes'],
  ...['width', 'expertWidth', 'seed', 'time', 'placement', 'steps', 'biasRate'],
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

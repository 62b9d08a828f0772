/** One deployment: its options, what is projected of it, and how that is told. */
import type { Command } from 'commander';
import { ConfigError } from '../../../core/errors.ts';
import type { Fields } from '../../../core/given.ts';
import { formatPercent } from '../../../core/units.ts';
import { parseLayout } from '../../../layout/spec.ts';
import { alignColumns, wrap } from '../../../layout/text.ts';
import type { MemoryItem } from '../../../memory/lists.ts';
import { cacheBytesPerToken } from '../../../planner/models/facts.ts';
import { project, type Projection } from '../../../planner/project/project.ts';
import { cellOf, regionOf, type Cell } from '../../../planner/project/region.ts';
import { phaseNamed, usualPrecision, type Phase } from '../../../planner/project/serving-case.ts';
import { frameworkOf } from '../../../planner/serving/framework.ts';
import { placementOfLayout } from '../../../planner/serving/placement.ts';
import { formatsOf, precisionNamed } from '../../../planner/serving/precision.ts';
import {
  SHARES,
  SHARE_NAMES,
  type Share,
  type SimulationResult,
} from '../../../planner/simulate/simulate.ts';
import type { ServingSummary } from '../../../planner/simulate/summary.ts';
import { closedLoop, LEAST_LENGTH, type Workload } from '../../../planner/simulate/workload.ts';
import { integer, MOST_SEED, moreThan, requireInteger } from '../../options.ts';
import { arrivalsOf, type ArrivalOptions } from './arrivals.ts';
import { hardwareAt, modelAt, routingAt } from './places.ts';

/** A deployment, those options of `moebius project` that describe it. */
export interface DeploymentOptions extends ArrivalOptions {
  /** A preset's name, or the path of a `config.json`. */
  readonly model?: string;
  /** A name, or the path of a JSON file with figures of one's own. */
  readonly hardware?: string;
  /** 'ep=16,pp=4,tp=2,dp=2', folded: dp counts replicas. */
  readonly layout?: string;
  /** The same of instances that decode what those of `layout` have read: prefill and decode apart. */
  readonly disaggregate?: string;
  readonly gpusPerNode?: number;
  readonly precision?: string;
  /** That of the model's plain published recipe when absent. */
  readonly framework?: string;
  /** Tokens in and out, nominal: lengths are uniform in 0.8 to 1.0 of them. */
  readonly isl?: number;
  readonly osl?: number;
  readonly concurrency?: number;
  /** uniform, balanced, zipf:1.2, power-law:1.2, or the path of a routing trace. */
  readonly routing?: string;
  readonly phase?: string;
  /** Most sequences of an attention group at once, and tokens of a step: what a server is started with. */
  readonly maxSequences?: number;
  readonly maxTokens?: number;
}

export const DEPLOYMENT_FIELDS: Fields = {
  model: 'string?',
  hardware: 'string?',
  layout: 'string?',
  disaggregate: 'string?',
  gpusPerNode: 'number?',
  precision: 'string?',
  framework: 'string?',
  isl: 'number?',
  osl: 'number?',
  concurrency: 'number?',
  rate: 'number?',
  trace: 'string?',
  routing: 'string?',
  phase: 'string?',
  maxSequences: 'number?',
  maxTokens: 'number?',
  requests: 'number?',
  seed: 'number?',
};

/** What a deployment would deliver. */
export interface DeploymentReport {
  readonly model: string;
  readonly hardware: string;
  readonly layout: string;
  /** The layout that decodes, where another reads prompts. */
  readonly disaggregate: string | null;
  readonly gpus: number;
  /** Layers of each stage. */
  readonly stages: readonly number[];
  readonly precision: string;
  readonly framework: string;
  /** Whether somebody named it; else it is that of the model's plain published recipe, and intervals are wider. */
  readonly frameworkNamed: boolean;
  readonly phase: Phase;
  /** ms and tokens/ms, each with its interval, tag and region. */
  readonly cells: Readonly<Record<string, Cell>>;
  readonly memory: Projection['ledger'] & {
    readonly used: number;
    /** Of `used`: pages of the cache with the sequences that are there at once. */
    readonly cache: number;
    /** Of all layers and heads: what one token of a sequence takes, copies not counted. */
    readonly kvBytesPerToken: number;
  };
  readonly percentiles: ServingSummary;
  /** Of all GPU time; they sum to 1. */
  readonly shares: Readonly<Record<Share, number>>;
  readonly steps: number;
}

/** Requests for each of a closed loop. A guess. */
const ROUNDS = 10;

/** @throws ConfigError for what cannot be deployed: the layout, the memory, the workload. */
export async function projectDeployment(options: DeploymentOptions): Promise<DeploymentReport> {
  return (await deployed(options, 0)).report;
}

/** The same with what was simulated. @param keepStretches the first so many, for a timeline. */
export async function deployed(
  options: DeploymentOptions,
  keepStretches: number,
): Promise<{ readonly report: DeploymentReport; readonly simulation: SimulationResult }> {
  const { layout: layoutText = 'ep=16,pp=4,tp=2,dp=2' } = options;
  if (options.model === undefined)
    throw new ConfigError('project needs a model: name one with --model, or a table with --cases.');
  if (options.hardware === undefined)
    throw new ConfigError('project needs hardware: name it with --hardware, as h100-sxm.');
  const model = await modelAt(options.model);
  const hardware = await hardwareAt(options.hardware);
  const gpusPerNode = options.gpusPerNode ?? hardware.node.gpus;
  requireInteger('gpusPerNode', gpusPerNode, 1, 65536);
  const placement = placementOfLayout(parseLayout(layoutText), gpusPerNode);
  const { disaggregate = null } = options;
  const decode =
    disaggregate === null ? undefined : placementOfLayout(parseLayout(disaggregate), gpusPerNode);
  const phase = phaseNamed(options.phase ?? 'both');
  const precision =
    options.precision === undefined ? usualPrecision(model, hardware) : precisionNamed(options.precision);
  const { maxSequences, maxTokens } = options;
  if (maxSequences !== undefined) requireInteger('maxSequences', maxSequences, 1, 65536);
  if (maxTokens !== undefined) requireInteger('maxTokens', maxTokens, 1, 2 ** 24);
  const { framework: usual, named } = frameworkOf(options.framework, model.name);
  const framework = { ...usual, ...(maxTokens !== undefined && { maxTokens }) };
  const workload = await workloadOf(options, phase);
  const projection = project({
    model,
    hardware: { ...hardware, node: { ...hardware.node, gpus: gpusPerNode } },
    placement,
    ...(decode && { decode }),
    precision,
    framework,
    routing: await routingAt(options.routing ?? 'uniform', model),
    workload,
    phase,
    keepStretches,
    ...(maxSequences !== undefined && { maxSequences }),
  });
  const { summary, simulation, gpus, fullest, memoryBytes, stages } = projection;
  const known = regionOf(model, hardware, placement, named);
  const region =
    decode === undefined
      ? known
      : { ...known, region: 'none covers this: prefill and decode apart', covered: false };
  const perMs = (rate: number): number => rate / 1e3;
  const cells: Record<string, Cell> = {
    ...(phase !== 'decode' && { ttft_ms: cellOf(summary.ttftMs.mean, 'ttft', region) }),
    ...(phase !== 'prefill' && { tpot_ms: cellOf(summary.tpotMs.mean, 'tpot', region) }),
    e2e_ms: cellOf(summary.e2eMs.mean, 'tpot', region),
    in_tokens_per_ms_gpu: cellOf(perMs(summary.inputTokensPerS) / gpus, 'rate', region),
    out_tokens_per_ms_gpu: cellOf(perMs(summary.outputTokensPerS) / gpus, 'rate', region),
    in_tokens_per_ms: cellOf(perMs(summary.inputTokensPerS), 'rate', region),
    out_tokens_per_ms: cellOf(perMs(summary.outputTokensPerS), 'rate', region),
  };
  const report = {
    model: model.name,
    hardware: hardware.name,
    layout: layoutText,
    disaggregate,
    gpus,
    stages,
    precision,
    framework: framework.name,
    frameworkNamed: named !== undefined,
    phase,
    cells,
    memory: {
      ...fullest.ledger,
      used: memoryBytes,
      cache: fullest.cacheBytes,
      kvBytesPerToken: cacheBytesPerToken(model, formatsOf(model, precision, hardware).cache.weightBits / 8),
    },
    percentiles: summary,
    shares: simulation.shares,
    steps: simulation.steps,
  };
  return { report, simulation };
}

async function workloadOf(options: DeploymentOptions, phase: Phase): Promise<Workload> {
  const { isl = 1024, osl = 1024, concurrency = 64, seed = 1 } = options;
  requireInteger('isl', isl, 1, 2 ** 24);
  requireInteger('osl', osl, 1, 2 ** 24);
  requireInteger('concurrency', concurrency, 1, 100_000);
  requireInteger('seed', seed, 0, MOST_SEED);
  const lengths = {
    input: isl,
    output: phase === 'prefill' ? 1 : osl,
    least: phase === 'both' ? LEAST_LENGTH : 1,
  };
  const open = await arrivalsOf(options, lengths);
  if (open !== undefined) {
    return phase === 'prefill'
      ? { kind: 'open', requests: open.requests.map((one) => ({ ...one, output: 1 })) }
      : open;
  }
  const rounds = phase === 'both' ? Math.max(concurrency * ROUNDS, concurrency + 16) : concurrency;
  const { requests = rounds } = options;
  requireInteger('requests', requests, 1, 1_000_000);
  return closedLoop(lengths, concurrency, Math.max(concurrency, requests), seed);
}

const digits = (value: number): string =>
  value >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));

export function renderDeployment(report: DeploymentReport): string {
  const { cells, shares, memory, percentiles, model, hardware, gpus, precision, framework, stages } = report;
  const { disaggregate } = report;
  const layout =
    disaggregate === null ? report.layout : `${report.layout} for prompts, ${disaggregate} for the rest`;
  const first = Object.values(cells)[0];
  const rows = Object.entries(cells).map(([name, { value, low, high }]) => [
    name.replaceAll('_', ' '),
    digits(value),
    `${digits(low)} to ${digits(high)}`,
  ]);
  const { ttftMs, tpotMs, queueingMs } = percentiles;
  const served = `${framework} framework${report.frameworkNamed ? '' : ', that of its plain recipe since none was named'}`;
  return [
    ...wrap(`${model} on ${gpus} ${hardware}, ${layout}, ${precision}, ${served}`, '', '  '),
    ...alignColumns([['', 'mean', '80 % interval'], ...rows]),
    ...(stages.length > 1 ? wrap(`Stages of ${stages.join(', ')} layers.`, '  ', '  ') : []),
    ...wrap(`All of it is ${first?.tag ?? 'modelled'}: ${first?.region ?? ''}.`, '  ', '  '),
    '',
    ...alignColumns([
      ['ms', 'p50', 'p90', 'p99'],
      ['TTFT', digits(ttftMs.p50), digits(ttftMs.p90), digits(ttftMs.p99)],
      ['of it queueing', digits(queueingMs.p50), digits(queueingMs.p90), digits(queueingMs.p99)],
      ['TPOT', digits(tpotMs.p50), digits(tpotMs.p90), digits(tpotMs.p99)],
    ]),
    '',
    'Where the GPU time goes',
    ...alignColumns(SHARES.map((share) => [SHARE_NAMES[share], formatPercent(shares[share])])),
    '',
    ...memoryLines(memory),
  ].join('\n');
}

/** The ledger of the fullest rank, line by line. */
function memoryLines(memory: DeploymentReport['memory']): string[] {
  const gb = (bytes: number): string => (bytes / 1e9).toFixed(bytes < 1e8 ? 3 : 1);
  const buffers = (items: readonly MemoryItem[]): string[][] =>
    items.map(({ name, bytes, count }) => [
      `${name.replace('/', ': ')}${count === 1 ? '' : `, ${count} of ${gb(bytes)}`}`,
      gb(bytes * count),
    ]);
  return [
    'Memory of the fullest rank, GB',
    ...alignColumns([
      ['weights', gb(memory.weights)],
      [`KV cache, pages of ${memory.positionsPerPage} positions`, gb(memory.cache)],
      ...buffers(memory.stagingBuffers),
      ...buffers(memory.communicationBuffers),
      [`all, of ${gb(memory.memory)}`, gb(memory.used)],
    ]),
    ...wrap(
      `Room for ${memory.capacity} positions of an attention group. A position keeps ${memory.kvBytesPerToken} bytes in all layers.`,
      '  ',
      '  ',
    ),
  ];
}

/** Of `project` and `search`. */
export const FRAMEWORK_OPTION = "vllm, sglang, trtllm, typical (default: that of the model's plain recipe)";

/** The options of one deployment. */
export function describeDeployment(command: Command): Command {
  return command
    .option('--model <name>', 'a model, or the path of its config.json')
    .option('--hardware <name>', 'a100, h100-sxm, h200, b200, ..., or a JSON file of your own')
    .option('--layout <axes>', 'ep=..,pp=..,tp=..,dp=.. (default: the reference layout)')
    .option('--disaggregate <axes>', 'instances that decode what those of --layout have read')
    .option('--gpus-per-node <n>', 'that reach each other without a network', integer(1, 65536))
    .option('--precision <name>', 'bf16, fp8, fp4, int4 (default: as released)')
    .option('--framework <name>', FRAMEWORK_OPTION)
    .option('--isl <n>', 'tokens in; lengths are uniform in 0.8 to 1.0 of it', integer(1))
    .option('--osl <n>', 'tokens out, the same', integer(1))
    .option('--concurrency <n>', 'requests at once, in a closed loop', integer(1, 100_000))
    .option('--rate <r>', 'requests a second, in place of a closed loop', moreThan(0))
    .option('--trace <file>', 'arrivals: arrival_s, input_tokens, output_tokens')
    .option(
      '--max-sequences <n>',
      'at once in an attention group, as its server is started',
      integer(1, 65536),
    )
    .option('--max-tokens <n>', 'tokens of a step, as its server is started', integer(1, 2 ** 24))
    .option('--routing <law>', 'uniform, balanced, zipf:1.2, power-law:1.2, or a trace')
    .option('--phase <name>', 'prefill, decode or both')
    .option('--requests <n>', 'that are simulated', integer(1, 1_000_000))
    .option('--seed <n>', 'of lengths and arrivals', integer(0, 2 ** 32 - 1));
}

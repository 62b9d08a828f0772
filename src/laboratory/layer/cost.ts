/**
 * What routing and balancing cost of the time of a mixture-of-experts layer: an engine's own dispatches, each between two
 * timestamps of its own, over the same tokens again and again. First the layer is checked.
 */
import { CheckError, ConfigError } from '../../core/errors.ts';
import { at, range, sum } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { SpanTime } from '../../gpu/span-timer.ts';
import { summarise, relativeHalfWidth, type Summary } from '../../measure/statistics.ts';
import { type BenchClock, stopwatchFor } from '../../measure/stopwatch.ts';
import { recordAll } from '../../collectives/segments.ts';
import { checkLayer, type LayerCheck } from './check.ts';
import type { OpenLayer } from './open-layer.ts';
import { type CostPart, COST_PARTS, partOf } from './parts.ts';

/** Of the time of the layer, what the parts may take: the goals of this project. */
export const COST_LIMITS = { routing: 0.1, balancing: 0.02 } as const;

/** What counts as routing; the logits of the gate are a product of matrices that every router has. */
const ROUTING: readonly CostPart[] = ['top-k', 'capacity', 'plan'];

type Interval = Pick<Summary, 'median' | 'low' | 'high'>;

export interface CostRow {
  readonly part: CostPart;
  readonly dispatches: number;
  /** Of one run of the layer. */
  readonly ns: Interval;
  /** Of the layer's time in the same run. */
  readonly share: Interval;
}

export interface CostSum {
  readonly share: Interval;
  readonly limit: number;
  /** Whether the median is within the limit. */
  readonly met: boolean;
}

/** All times are measured, between timestamps of the device; medians, with the interval that holds them at 95 %. */
export interface LayerCost {
  readonly rounds: number;
  readonly parts: readonly CostRow[];
  /** Top-k, capacity and plan. */
  readonly routing: CostSum;
  /** The update of the bias. */
  readonly balancing: CostSum;
  /** Sum of all parts: what shares are of. */
  readonly layerNs: Interval;
  /** The norm before the router, which is no part of the shares. */
  readonly normNs: Interval;
  /** The same dispatches, norm included, in one pass without timestamps in between. */
  readonly bareNs: Interval;
  readonly check: LayerCheck;
  /** Runs, instrumented or not, after which outputs and slots had the bits of the first. */
  readonly runsWithSameBits: number;
  /** Host waits between the first and the last dispatch of a run. */
  readonly hostWaits: number;
}

export interface CostOptions {
  /** Host time to spend on rounds; `leastRounds` are taken in any case. */
  readonly budgetNs: number;
  readonly leastRounds: number;
  readonly mostRounds: number;
  readonly say?: (text: string) => void;
}

/** Guesses; from 6 rounds on an interval leaves nothing out by itself. */
export const COST_DEFAULTS: CostOptions = { budgetNs: 20e9, leastRounds: 6, mostRounds: 25 };

/** Half the interval of the routing's share, as a share of it, that is good enough. */
const PRECISION = 0.03;

/**
 * @throws ConfigError without timestamps. @throws CheckError when the layer is wrong, or its bits change from run to run.
 */
export async function measureCost(
  gpu: Gpu,
  layer: OpenLayer,
  clock: BenchClock,
  options: CostOptions = COST_DEFAULTS,
): Promise<LayerCost> {
  const { say = () => undefined } = options;
  if (clock.clock !== 'gpu') {
    throw new ConfigError(
      `parts of a layer are told apart by timestamps, and ${gpu.facts.name} has none that move. Take another --adapter.`,
    );
  }
  say('checked against float64');
  const check = await checkLayer(gpu, layer);
  const known = await layer.bits();
  let runsWithSameBits = 0;
  const requireSameBits = async (): Promise<void> => {
    const now = await layer.bits();
    const other = known.findIndex((values, i) => !sameWords(values, at(now, i)));
    if (other >= 0) {
      throw new CheckError(
        `a run of the layer gave other ${other === 0 ? 'outputs' : 'slots'} than the first`,
      );
    }
    runsWithSameBits += 1;
  };
  const bare = stopwatchFor(gpu, (commands) => recordAll(commands, layer.half.whole), clock);
  const rounds: Round[] = [];
  const start = gpu.now();
  let hostWaits = 0;
  while (!isEnough(rounds, gpu.now() - start, options)) {
    say(`round ${rounds.length + 1}`);
    layer.restore();
    await gpu.sync();
    const waits = gpu.hostSyncs;
    const commands = gpu.commands('layer', 'dispatch');
    for (const segment of layer.half.whole) {
      if (segment.span !== undefined) commands.span(segment.span);
      segment.record(commands);
    }
    const submitted = commands.submit();
    hostWaits = Math.max(hostWaits, gpu.hostSyncs - waits);
    const spans = await submitted.spans();
    gpu.throwPending();
    await requireSameBits();
    layer.restore();
    await gpu.sync();
    const bareNs = await bare.window(1);
    await requireSameBits();
    const round = roundOf(spans, bareNs);
    if (round !== undefined) rounds.push(round);
    else if (gpu.now() - start > 2 * options.budgetNs)
      throw new CheckError('the clock keeps going backwards');
  }
  return { ...costOf(rounds), check, runsWithSameBits, hostWaits };
}

interface Round {
  readonly ns: ReadonlyMap<CostPart, number>;
  readonly dispatches: ReadonlyMap<CostPart, number>;
  readonly layerNs: number;
  readonly bareNs: number;
}

/** Undefined when a reading is void. */
function roundOf(spans: readonly SpanTime[], bareNs: number | undefined): Round | undefined {
  if (bareNs === undefined || spans.some(({ ns }) => ns === undefined)) return undefined;
  const ns = new Map<CostPart, number>();
  const dispatches = new Map<CostPart, number>();
  let isBehindExperts = false;
  for (const span of spans) {
    const part = partOf(span.kernel ?? '', isBehindExperts);
    isBehindExperts ||= part === 'experts';
    ns.set(part, (ns.get(part) ?? 0) + (span.ns ?? 0));
    dispatches.set(part, (dispatches.get(part) ?? 0) + 1);
  }
  const layerNs = sum([...ns].map(([part, own]) => (part === 'norm' ? 0 : own)));
  return { ns, dispatches, layerNs, bareNs };
}

function shareOf({ ns, layerNs }: Round, parts: readonly CostPart[]): number {
  return sum(parts.map((part) => ns.get(part) ?? 0)) / layerNs;
}

function isEnough(
  rounds: readonly Round[],
  spentNs: number,
  { budgetNs, leastRounds, mostRounds }: CostOptions,
): boolean {
  if (rounds.length < leastRounds) return false;
  if (rounds.length >= mostRounds || spentNs >= budgetNs) return true;
  return relativeHalfWidth(summarise(rounds.map((round) => shareOf(round, ROUTING)))) <= PRECISION;
}

function costOf(rounds: readonly Round[]): Omit<LayerCost, 'check' | 'runsWithSameBits' | 'hostWaits'> {
  const over = (value: (round: Round) => number): Interval => {
    const { median, low, high } = summarise(rounds.map(value));
    return { median, low, high };
  };
  const limited = (parts: readonly CostPart[], limit: number): CostSum => {
    const share = over((round) => shareOf(round, parts));
    return { share, limit, met: share.median <= limit };
  };
  return {
    rounds: rounds.length,
    parts: COST_PARTS.filter((part) => part !== 'norm').map((part) => ({
      part,
      dispatches: at(rounds, 0).dispatches.get(part) ?? 0,
      ns: over(({ ns }) => ns.get(part) ?? 0),
      share: over((round) => shareOf(round, [part])),
    })),
    routing: limited(ROUTING, COST_LIMITS.routing),
    balancing: limited(['balancing'], COST_LIMITS.balancing),
    layerNs: over(({ layerNs }) => layerNs),
    normNs: over(({ ns }) => ns.get('norm') ?? 0),
    bareNs: over(({ bareNs }) => bareNs),
  };
}

function sameWords(a: Uint32Array, b: Uint32Array): boolean {
  return a.length === b.length && range(a.length).every((i) => a[i] === b[i]);
}

/** The same forward pass on all ranks of a layout and on one rank, both on this one adapter. */
import { requireFields, requireGiven, requireGpu } from '../../core/given.ts';
import { at, maxOf, range, sum } from '../../core/math.ts';
import { seededRandom, shuffled } from '../../core/random.ts';
import { NS_PER_S } from '../../core/units.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { planLayout } from '../../layout/layout.ts';
import { formatLayout, type LayoutSpec } from '../../layout/spec.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import {
  createEngine,
  type Engine,
  type RoutingAccount,
  type StepOptions,
  type StepResult,
} from '../../runtime/engine.ts';
import { LOGITS_LIMIT, logitsError, ONE_RANK } from './check.ts';
import { traitsOf } from '../../runtime/layer/kernels.ts';
import { planEngine, type EngineSizing } from '../../memory/engine-plan.ts';
import {
  expertLoad,
  pipelineTimes,
  rankBytes,
  type ExpertLoad,
  type PipelineTimes,
  type RankBytes,
} from './cluster.ts';
import { profileStages, type StageProfile } from './stages.ts';
import { median, summarise, type Summary } from '../../measure/statistics.ts';

/** How much slower all ranks on one adapter may be than one rank: what the bookkeeping of a layout may cost. A guess. */
export const RATIO_LIMIT = 3;
/** The limit is about passes of at least so many tokens, 128 x 32: smaller ones are all bookkeeping. */
export const RATIO_TOKENS = 4096;

/** Of the order of the two in each round. */
const SEED = 1;

export interface ForwardTiming {
  readonly layout: string;
  readonly worldSize: number;
  /** From planning the step to having the logits, by the host's clock. */
  readonly samplesNs: readonly number[];
  readonly dispatches: number;
  readonly microBatches: number;
  /** Host waits between the first and the last dispatch, per MoE layer: the hot path is to have none. */
  readonly hostSyncsPerLayer: number;
  /** GPU time by stage and phase, one entry per sample; empty without timestamps. */
  readonly profiles: readonly StageProfile[];
  readonly liveBytes: number;
  readonly predictedBytes: number;
  /** What a cluster of the layout would see of it; absent of one rank, and in files of before 0.5.0. */
  readonly cluster?: ClusterView;
}

export interface ClusterView {
  /** Of the pass with the median time; absent without timestamps. */
  readonly pipeline?: PipelineTimes;
  readonly expertLoad: ExpertLoad;
  readonly ranks: readonly RankBytes[];
}

/** The same forward pass on the ranks of a layout and on one rank: logits compared, then both timed in turn. */
export interface ForwardComparison {
  readonly sequences: number;
  readonly tokensPerSequence: number;
  readonly tokens: number;
  /** Largest difference of the logits of the two, as a share of the largest: checked before anything is timed. */
  readonly logitsError: number;
  readonly pass: boolean;
  /** Absent when the check failed, as are the next two. */
  readonly sharded?: ForwardTiming;
  readonly unsharded?: ForwardTiming;
  /** Sharded over unsharded, round by round. */
  readonly ratio?: Summary;
  /** Of all ranks where they were timed with a placement, a capacity or a bias; the check before has no capacity and no bias. */
  readonly routing?: ForwardRouting;
}

/** How the ranks routed, and what became of the rows of all passes: measured. */
export interface ForwardRouting extends RoutingAccount {
  /** Placement, capacity, policy and rate of the bias, as they were given. */
  readonly asked: Readonly<Record<string, string | number>>;
}

/** What a bench has its ranks route by. */
export interface BenchRouting {
  readonly asked: ForwardRouting['asked'];
  readonly sizing: Pick<EngineSizing, 'placement' | 'shares' | 'capacity' | 'balancer'>;
}

export interface ForwardOptions {
  readonly layout: LayoutSpec;
  readonly routing?: BenchRouting | undefined;
  /** Token ids that are dealt to the sequences. */
  readonly ids: readonly number[];
  readonly sequences: number;
  readonly tokensPerSequence: number;
  /** Host time to spend on samples; at least so many of each are taken. */
  readonly budgetNs: number;
  readonly minSamples: number;
  readonly maxSamples: number;
  readonly say?: (text: string) => void;
  /** Given the first pass of all ranks, which has the experts of its tokens. */
  readonly onRouted?: (first: StepResult) => void;
}

function limitsOf(sequences: number, tokensPerSequence: number): EngineSizing {
  return { maxSequences: sequences, maxLength: tokensPerSequence };
}

type Requests = readonly { readonly sequence: number; readonly ids: readonly number[] }[];

/** Checks that both give the same logits, then takes samples of one and the other in turn. */
export async function compareForward(
  gpu: Gpu,
  model: Checkpoint,
  options: ForwardOptions,
): Promise<ForwardComparison> {
  requireGpu(gpu);
  requireFields('The model', model, { config: 'record', get: 'function' });
  requireGiven('The options', options, 'record');
  const { sequences, tokensPerSequence } = options;
  const limits = limitsOf(sequences, tokensPerSequence);
  const engines: Engine[] = [];
  const make = async (spec: LayoutSpec, routed: BenchRouting['sizing'] = {}): Promise<Engine> => {
    const layout = planLayout(spec, model.config);
    const engine = await createEngine(gpu, { layout, weights: model, ...limits, ...routed });
    engines.push(engine);
    return engine;
  };
  try {
    const { capacity, balancer, ...placed } = options.routing?.sizing ?? {};
    const one = await make(ONE_RANK);
    const checked = await make(options.layout, placed);
    // What drops rows or chooses by a bias has other logits.
    const isOther = capacity !== undefined || balancer !== undefined;
    const many = isOther ? await make(options.layout, options.routing?.sizing) : checked;
    return await compareEngines({ one, checked, many }, options);
  } finally {
    for (const engine of engines) engine.destroy();
  }
}

async function compareEngines(
  { one, checked, many }: Readonly<Record<'one' | 'checked' | 'many', Engine>>,
  options: ForwardOptions,
): Promise<ForwardComparison> {
  const { sequences, tokensPerSequence, say = () => undefined } = options;
  const requests = requestsOf(options);
  const base = { sequences, tokensPerSequence, tokens: sequences * tokensPerSequence };
  say('first pass of both, compared');
  const [a, b] = [await step(one, requests), await step(checked, requests, { experts: true })];
  const first = many === checked ? b : await step(many, requests, { experts: true });
  options.onRouted?.(first);
  const worst = maxOf(range(sequences).map((i) => logitsError(at(b.logits, i), at(a.logits, i))));
  if (!(worst <= LOGITS_LIMIT)) return { ...base, logitsError: worst, pass: false };

  // A pass per phase costs a few microseconds each and gives both times from one run.
  const timing = one.gpu.has('timestamp-query') ? 'span' : 'none';
  const results: { one: StepResult[]; many: StepResult[] } = { one: [], many: [] };
  const random = seededRandom(SEED);
  const now = (): number => one.gpu.platform.now();
  const start = now();
  while (results.many.length < options.maxSamples) {
    const taken = results.many.length;
    const spent = now() - start;
    // Another round only when it is likely to end in time.
    if (taken >= options.minSamples && spent + spent / taken > options.budgetNs) break;
    say(`round ${taken + 1}, ${(spent / NS_PER_S).toFixed(0)} s so far`);
    for (const which of shuffled(['one', 'many'] as const, random)) {
      results[which].push(await step(which === 'one' ? one : many, requests, { timing }));
    }
  }
  const sharded = {
    ...timingOf(many, results.many),
    cluster: clusterView(many, options, { requests, first, timed: results.many }),
  };
  const unsharded = timingOf(one, results.one);
  const ratio = ratioOf(sharded.samplesNs, unsharded.samplesNs);
  const account = await many.routing();
  const routing = options.routing && account && { asked: options.routing.asked, ...account };
  return {
    ...{ ...base, logitsError: worst, pass: true, sharded, unsharded, ratio },
    ...(routing && { routing }),
  };
}

/** Of samples that were taken in turn: ratioOf([20, 60], [10, 20]) goes from 2 to 3. */
export function ratioOf(sharded: readonly number[], unsharded: readonly number[]): Summary {
  return summarise(sharded.map((ns, round) => ns / at(unsharded, round)));
}

/** Sequences of the same text, each from another place. */
function requestsOf({ ids, sequences, tokensPerSequence }: ForwardOptions): Requests {
  const places = Math.max(1, ids.length - tokensPerSequence + 1);
  return range(sequences).map((sequence) => {
    const start = (sequence * tokensPerSequence) % places;
    return { sequence, ids: ids.slice(start, start + tokensPerSequence) };
  });
}

function step(engine: Engine, requests: Requests, options: StepOptions = {}): Promise<StepResult> {
  engine.reset();
  return engine.forward(requests, options);
}

function timingOf(engine: Engine, results: readonly StepResult[]): ForwardTiming {
  const { layout, config, memory } = engine;
  const first = at(results, 0);
  return {
    layout: formatLayout(layout.spec),
    worldSize: layout.worldSize,
    samplesNs: results.map(({ hostNs }) => hostNs),
    dispatches: first.dispatches,
    microBatches: first.microBatches,
    hostSyncsPerLayer: maxOf(results.map((r) => r.hostSyncsInLayers)) / config.numLayers,
    profiles: results.filter(({ spans }) => spans.length > 0).map(({ spans }) => profileStages(spans)),
    liveBytes: memory.liveBytes,
    predictedBytes: memory.predictedBytes,
  };
}

function clusterView(
  { gpu, layout }: Engine,
  { sequences, tokensPerSequence, routing }: ForwardOptions,
  passes: { readonly requests: Requests; readonly first: StepResult; readonly timed: readonly StepResult[] },
): ClusterView {
  const traits = traitsOf(gpu);
  const sizing = { ...limitsOf(sequences, tokensPerSequence), ...routing?.sizing };
  const plan = planEngine(layout, sizing, traits);
  const middle = median(passes.timed.map(({ hostNs }) => hostNs));
  const usual = passes.timed.reduce((best, other) =>
    Math.abs(other.hostNs - middle) < Math.abs(best.hostNs - middle) ? other : best,
  );
  const pipeline = pipelineTimes(usual, passes.first.expertRows);
  return {
    ...(pipeline && { pipeline }),
    expertLoad: expertLoad(plan, passes.requests, passes.first),
    ranks: rankBytes(plan, traits),
  };
}

export interface StageTime {
  readonly stage: string;
  readonly phase: string;
  /** One sum over all ranks and micro-batches per profiled pass. */
  readonly samplesNs: readonly number[];
}

/** Every phase of every stage over the profiled passes, in order of first appearance. */
export function stageTimes(profiles: readonly StageProfile[]): StageTime[] {
  const first = profiles[0]?.stages ?? [];
  return first.flatMap(({ stage, phases }) =>
    phases.map(({ phase }) => ({
      stage,
      phase,
      samplesNs: profiles.map(({ stages }) => {
        const found = stages.find((s) => s.stage === stage)?.phases.filter((p) => p.phase === phase) ?? [];
        return sum(found.map(({ ns }) => ns));
      }),
    })),
  );
}

/** `moebius routing --cost`: what routing and balancing take of a mixture-of-experts layer's time on this adapter. */
import { SILENT, type Progress } from '../../../bench/progress.ts';
import { ConfigError } from '../../../core/errors.ts';
import { type Fields, requireOptions } from '../../../core/given.ts';
import { range } from '../../../core/math.ts';
import { COST_DEFAULTS, type LayerCost, measureCost } from '../../../laboratory/layer/cost.ts';
import { openLayer } from '../../../laboratory/layer/open-layer.ts';
import { logitsOfScores } from '../../../laboratory/layer/routed-model.ts';
import { formatLayout, parseLayout } from '../../../layout/spec.ts';
import { chooseClock } from '../../../measure/stopwatch.ts';
import type { MoeConfig } from '../../../model/config.ts';
import { presetNamed } from '../../../model/presets.ts';
import type { AdapterFacts } from '../../../platform/platform.ts';
import { BIAS_RATE, checkBiasRate } from '../../../routing/balance/bias.ts';
import type { CapacityRule } from '../../../routing/capacity.ts';
import { tokensOf } from '../../../routing/choices.ts';
import type { OverflowPolicy } from '../../../routing/policies.ts';
import { logitsOf } from '../../../routing/trace/generate.ts';
import { WEIGHT_DTYPES, type WeightDtype } from '../../../tensor/quantised.ts';
import { freeBytes } from '../../model.ts';
import { requireInteger } from '../../options.ts';
import { withGpu } from '../../session.ts';
import { DEFAULT_CAPACITY } from './capacity-option.ts';
import { engineRouting } from './engine-options.ts';
import { type LoadedTrace, loadTrace, TRACE_FIELDS, TRACE_SEED, type TraceOptions } from './load-trace.ts';

/** Options of `routingCost`, those of `moebius routing --cost`. Sizes are those of the `card` preset when absent. */
export interface RoutingCostOptions extends Omit<TraceOptions, 'trace'> {
  readonly adapter?: string;
  /** A generator, as 'zipf:1.2', or the path of a trace; 'zipf:1.2' when absent. */
  readonly trace?: string;
  /** How many ranks share the experts, all on the one adapter; 'ep=1' when absent. */
  readonly layout?: string;
  /** One that a device has; 'drop-position' when absent. */
  readonly policy?: string;
  readonly capacity?: string;
  /** A placer, or a JSON file with the experts of every rank. */
  readonly placement?: string;
  /** Slots of all ranks, for replicas. */
  readonly slots?: number;
  /** 0.001 when absent. */
  readonly biasRate?: number;
  readonly width?: number;
  readonly expertWidth?: number;
  /** How matrices are stored; 'f16' when absent. */
  readonly weights?: string;
  readonly progress?: Progress;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** What `routingCost` found: shares and times are measured, after the layer was checked. */
export interface RoutingCost extends LayerCost {
  readonly adapter: AdapterFacts;
  readonly clock: 'gpu' | 'host';
  readonly trace: string;
  readonly tokens: number;
  readonly experts: number;
  readonly topk: number;
  readonly width: number;
  readonly expertWidth: number;
  readonly weights: WeightDtype;
  readonly layout: string;
  readonly ranks: number;
  readonly slots: number;
  readonly policy: OverflowPolicy;
  readonly capacity?: CapacityRule;
  readonly biasRate: number;
}

const OPTIONS: Fields = {
  ...{ ...TRACE_FIELDS, trace: 'string?' },
  ...{ adapter: 'string?', layout: 'string?', policy: 'string?' },
  ...{ capacity: 'string?', placement: 'string?', slots: 'number?', biasRate: 'number?', width: 'number?' },
  ...{ expertWidth: 'number?', weights: 'string?', progress: 'record?', signal: 'signal?' },
};
export { OPTIONS as COST_OPTIONS };

/** The reference deployment's layer. */
const CARD: MoeConfig = presetNamed('card').config;
const DEFAULTS = { trace: 'zipf:1.2', layout: 'ep=1', policy: 'drop-position', weights: 'f16' };
/** A guess: a rank's row of logits and a token's are held on the host too. */
const MOST_TOKENS = 2 ** 15;

/**
 * Checks a routed layer, runs it again and again, and says which part of its time each part takes.
 * @throws ConfigError for a trace, a routing or a size that cannot be, and on an adapter without timestamps.
 * @throws CheckError when the layer is wrong or not the same from run to run.
 */
export async function routingCost(options: RoutingCostOptions = {}): Promise<RoutingCost> {
  requireOptions('routingCost', options, OPTIONS);
  const {
    progress = SILENT,
    seed = TRACE_SEED,
    width = CARD.modelDim,
    expertWidth = CARD.expertDim,
  } = options;
  const { biasRate = BIAS_RATE, weights = DEFAULTS.weights, tokens, slots } = options;
  requireInteger('width', width, 4, 65_536);
  requireInteger('expert width', expertWidth, 4, 65_536);
  if (tokens !== undefined) requireInteger('tokens', tokens, 1, MOST_TOKENS);
  checkBiasRate(biasRate);
  if (!WEIGHT_DTYPES.some((one) => one === weights)) {
    throw new ConfigError(`weights (${weights}) must be one of ${WEIGHT_DTYPES.join(', ')}.`);
  }
  const weightDtype = weights as WeightDtype;
  const spec = parseLayout(options.layout ?? DEFAULTS.layout);
  if (spec.pp * spec.tp * spec.dp > 1) {
    throw new ConfigError(
      `the layout is ${formatLayout(spec)}; one layer is shared by ep ranks only, as ep=16.`,
    );
  }
  const trace = options.trace ?? DEFAULTS.trace;
  const loaded = await loadTrace({ ...options, trace, seed });
  const { numExperts, topK } = loaded.choices;
  const { policy = DEFAULTS.policy } = options;
  const capacity = options.capacity ?? (policy === 'dropless' ? undefined : DEFAULT_CAPACITY);
  const config = { ...CARD, numExperts, topK };
  const routed = await engineRouting(
    {
      ...{ policy, biasRate },
      ...(capacity !== undefined && { capacity }),
      ...(options.placement !== undefined && { placement: options.placement, placementTrace: trace }),
      ...(slots !== undefined && { expertSlots: slots }),
    },
    spec,
    config,
  );
  const numTokens = tokensOf(loaded.choices);
  return withGpu(options, async (gpu) => {
    const clock = await chooseClock(gpu);
    const sizes = { numTokens, numExperts, topK, modelDim: width, expertDim: expertWidth, ranks: spec.ep };
    const layer = await progress.step('Make the layer', () =>
      openLayer(gpu, { ...sizes, score: 'softmax', weightDtype }, routed, freeBytes(gpu)),
    );
    try {
      layer.give(logitsOfTrace(loaded, seed));
      const cost = await progress.step('Measure its parts', (say) =>
        measureCost(gpu, layer, clock, { ...COST_DEFAULTS, say }),
      );
      const rule = routed.capacity?.rule;
      return {
        ...{ adapter: gpu.facts, clock: clock.clock, trace: loaded.name, tokens: numTokens },
        ...{ experts: numExperts, topk: topK, width, expertWidth, weights: weightDtype },
        ...{ layout: formatLayout(spec), ranks: spec.ep, slots: layer.plan.layout.placement.numSlots },
        ...{ policy: policy as OverflowPolicy, ...(rule && { capacity: rule }), biasRate },
        ...cost,
      };
    } finally {
      layer.destroy();
    }
  });
}

/** Those that the trace was made of; of a recorded one logits that give its choices. */
export function logitsOfTrace({ generator, choices }: LoadedTrace, seed: number): ArrayLike<number>[] {
  const { numExperts, topK, all_TE = [] } = choices;
  if (generator === undefined) return logitsOfScores(all_TE, numExperts);
  const next = logitsOf(generator, { numExperts, topK, seed });
  return range(tokensOf(choices)).map(() => next());
}

/** How long one step of an instance takes, part by part, from the curves of its hardware. */
import { at, range, sum } from '../../core/math.ts';
import type { Dtype } from '../../hardware/dtypes.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import type { MoeQuery, Query } from '../../hardware/queries.ts';
import { cachedLayers, mixtureLayers, type ModelFacts } from '../models/facts.ts';
import { exposedUs } from '../simulate/streams.ts';
import { tabulated, tabulated2 } from './curve.ts';
import { hottestLoads } from './hottest.ts';
import { FITTED, type Fitted, type Framework } from './framework.ts';
import { kernelUs, widenedUs } from './kernels.ts';
import { nodesOf, stageGpus, type Placement } from './placement.ts';
import { formatsOf, type Precision } from './precision.ts';
import { attentionProducts, linearProducts } from './products.ts';
import type { Routing } from './routing.ts';

/** What an instance is asked for in one step; of the fullest of its attention groups where it has several. */
export interface StepLoad {
  /** Sequences of the fullest group that take one token each, and positions of one of them on average. */
  readonly decodes: number;
  readonly context: number;
  /** New tokens of prompts of the fullest group, and the sum over them of the positions that each looks back to. */
  readonly prompts: number;
  readonly pairs: number;
  /** All new tokens of all groups. */
  readonly tokens: number;
  /** Sequences that end the step with a token, of the fullest group. */
  readonly sampled: number;
}

/** us of one step through all layers; `exposed` is what of the communication nothing hides. */
export interface StepTime {
  readonly attention: number;
  readonly dense: number;
  readonly experts: number;
  /** Of the experts' time what a perfect balance would save. */
  readonly imbalance: number;
  readonly exposed: number;
  readonly overhead: number;
  readonly total: number;
}

export const STEP_PARTS = ['attention', 'dense', 'experts', 'imbalance', 'exposed', 'overhead'] as const;
export type StepPart = (typeof STEP_PARTS)[number];

export interface StepSetting {
  readonly model: ModelFacts;
  readonly hardware: Profile;
  readonly placement: Placement;
  readonly precision: Precision;
  readonly framework: Framework;
  readonly routing: Routing;
  /** Two half batches hide each other's communication. */
  readonly overlap: boolean;
  /** us of an operation; those of `kernelUs` when absent. */
  readonly us?: (query: Query) => number;
  /** Figures in place of those that ship, for fits. */
  readonly fitted?: Fitted;
}

export interface StepCost {
  /** us of a step; through a pipeline the sum over its stages. */
  (load: StepLoad): StepTime;
  /** us that a hand-over between stages takes for so many tokens. */
  readonly handOver: (tokens: number) => number;
  /** us of each layer of such a step, the head with the last; they sum to the step. Equal parts where it is not given. */
  readonly layers?: (load: StepLoad) => number[];
}

type Curve = (tokens: number) => number;

/** What a step takes. */
export function stepCost(setting: StepSetting): StepCost {
  return stepPricer(setting)(setting.framework, setting.fitted ?? FITTED);
}

/** Every curve that a step reads, tabulated as it is asked for; figures may change while the curves stay. */
export function stepPricer(setting: Tabled): (framework: Framework, fitted: Fitted) => StepCost {
  const { model, hardware, placement, precision, routing, overlap } = setting;
  const { attnTp, attnDp, moeTp, ep, pp } = placement;
  const formats = formatsOf(model, precision, hardware);
  const us: Us = setting.us ?? ((query) => Math.max(1e-6, kernelUs(query, hardware)));
  const gemm = (n: number, k: number, dtype = formats.dense.name): Curve =>
    n < 1 || k < 1 ? () => 0 : (m) => us({ op: 'gemm', m, n: Math.ceil(n), k: Math.ceil(k), dtype });
  const [D, mixtures, gated] = [model.modelDim, mixtureLayers(model), cachedLayers(model)];
  const projections = together(attentionProducts(model, attnTp).map(([n, k]) => gemm(n, k)));
  const linear = together(linearProducts(model, attnTp).map(([n, k]) => gemm(n, k)));
  const denseCut = attnTp;
  const feed = (width: number, cut: number): Curve =>
    width === 0 ? () => 0 : together([gemm((2 * width) / cut, D), gemm(D, width / cut)]);
  const denseFeed = feed(model.denseDim, denseCut);
  const sharedFeed = feed(model.sharedDim, attnDp > 1 ? 1 : attnTp);
  const head = tabulated(gemm(model.vocabSize / attnTp, D, formats.head.name));
  const perToken = tabulated(
    (m) =>
      gated * projections(m) +
      (model.layers - gated) * linear(m) +
      model.denseLayers * denseFeed(m) +
      mixtures * (sharedFeed(m) + gemm(model.experts, D, 'bf16')(m)),
  );
  const slots = placement.expertSlots ?? model.experts;
  const lying = { experts: model.experts, slots, topk: model.topK, ep };
  const narrow = formats.experts.weightBits < 8;
  const widens = narrow && formats.experts.multiplier === 'bf16';
  const moeOf = (routed: Routing): { whole: Curve; widened: Curve } => {
    if (mixtures === 0) return { whole: () => 0, widened: () => 0 };
    const law = routed.kind === 'balanced' || routed.kind === 'power-law' ? { skew: routed } : undefined;
    const loads = law === undefined ? hottestLoads(routed, lying) : undefined;
    const query = (tokens: number): MoeQuery => ({
      op: 'moe',
      tokens: Math.max(1, Math.round(tokens)),
      hidden: D,
      inter: model.expertDim,
      experts: slots,
      topk: model.topK,
      tp: moeTp,
      ep,
      dtype: formats.experts.name,
      ...(law ?? loads?.(tokens)),
    });
    const whole = tabulated((tokens) => us(query(tokens)));
    return {
      whole,
      widened: widens ? tabulated((tokens) => widenedUs(query(tokens), hardware)) : () => 0,
    };
  };
  const moe = moeOf(routing);
  const even = moeOf({ kind: 'balanced' });
  const decode = decodeCurve(setting, us);
  const prefill = prefillCurve(setting, us);
  const reduce = tabulated((tokens) =>
    attnTp === 1
      ? 1e-9
      : us({
          op: 'all_reduce',
          bytes: tokens * D * 2,
          ranks: attnTp,
          nodes: nodesOf(attnTp, placement),
          dtype: 'half',
        }),
  );
  const exchange = exchangeCurve(setting, us);
  const sums = gated + (model.layers - gated) + (attnDp === 1 ? model.layers : model.denseLayers);
  const hop = tabulated((tokens) =>
    us({
      op: 'all_gather',
      bytes: Math.max(2, (2 * tokens * D * 2) / attnTp),
      ranks: 2,
      nodes: pp * stageGpus(placement) > placement.gpusPerNode ? 2 : 1,
      dtype: 'half',
    }),
  );
  return (framework, given) => {
    // Figures that correct general shares of the peaks are nothing to hardware that knows its own.
    const own = { attention: 1, dense: 1, denseBlackwell: 1, experts: 1, expertsOfFour: 1 };
    const fitted = hardware.reached === undefined ? given : { ...given, ...own };
    const blackwell = hardware.architecture.startsWith('blackwell');
    const launches = blackwell ? fitted.blackwell : 1;
    const slow = blackwell ? fitted.promptBlackwell : 1;
    const denseTimes = fitted.dense * (blackwell ? fitted.denseBlackwell : 1);
    const expertTimes = fitted.experts * (narrow && !widens ? fitted.expertsOfFour : 1);
    const latent = model.attention.kind === 'latent' ? gated * fitted.latentUs : 0;
    const layersUs =
      model.layers * framework.layerUs +
      mixtures * (fitted.mixtureUs + (model.sharedDim > 0 ? fitted.sharedUs : 0)) +
      latent +
      (model.layers - gated) * fitted.linearUs +
      model.layers * (scaledByBlocks(formats.dense) ? fitted.blocksUs : 0);
    const promptExperts = slow * fitted.promptExperts * (widens ? fitted.promptWidened : 1);
    // Widening is arithmetic of its own, which goes on while weights are read.
    const expertsUs = ({ whole, widened }: typeof moe, tokens: number, mostly: number): number =>
      mixtures *
      Math.max(
        whole(tokens) * expertTimes * slower(promptExperts, mostly),
        widened(tokens) / fitted.widensGbPerS,
      );
    const starts =
      (attnTp > 1 ? sums * (fitted.reduceUs + fitted.reduceMoreUs * (Math.log2(attnTp) - 1)) : 0) +
      (attnDp > 1 ? mixtures * fitted.exchangeUs : 0);
    const cost = (load: StepLoad): StepTime => {
      const fullest = load.decodes + load.prompts;
      // Of a step that is mostly prompts the products are bound by arithmetic.
      const mostly = load.prompts / Math.max(1, fullest);
      const attention =
        ((load.decodes > 0 ? decode(load.decodes, load.context) : 0) +
          (load.prompts > 0 ? prefill(load.prompts, load.pairs) * slow * fitted.prompt : 0)) *
        fitted.attention;
      const dense =
        (perToken(fullest) * slower(slow * fitted.prompt, mostly) + head(load.sampled)) * denseTimes;
      const routed = expertsUs(moe, load.tokens, mostly);
      const balanced = Math.min(routed, expertsUs(even, load.tokens, mostly));
      const moved =
        (attnTp > 1 ? sums * reduce(fullest) * fitted.reduce : 0) +
        mixtures * exchange(fullest, load.tokens) * fitted.exchange;
      const talk = moved + starts * launches;
      const busy = attention + dense + routed;
      const halves = Math.max(1, mixtures);
      const sent = moved / 2 + starts * launches;
      const half = {
        attention: (attention + dense) / halves / 2,
        dispatch: sent / halves / 2,
        experts: routed / halves / 2,
        combine: sent / halves / 2,
      };
      const exposed = overlap ? Math.min(talk, exposedUs(half, halves)) : talk;
      const eager = load.prompts > 0 ? fitted.eager * launches * layersUs : 0;
      const overhead = framework.stepUs + launches * layersUs + eager + load.sampled * framework.sequenceUs;
      const imbalance = routed - balanced;
      const total = busy + exposed + overhead;
      return { attention, dense, experts: balanced, imbalance, exposed, overhead, total };
    };
    const layers = (load: StepLoad): number[] => {
      const { total, experts, imbalance } = cost(load);
      const m = load.decodes + load.prompts;
      const ends = head(load.sampled) * denseTimes;
      const dense = denseFeed(m) * denseTimes;
      const mixture = mixtures > 0 ? (experts + imbalance) / mixtures + sharedFeed(m) * denseTimes : 0;
      const rest = Math.max(0, total - ends - model.denseLayers * dense - mixtures * mixture) / model.layers;
      const each = range(model.layers).map((layer) => rest + (layer < model.denseLayers ? dense : mixture));
      each[model.layers - 1] = at(each, model.layers - 1) + ends;
      return each;
    };
    return Object.assign(cost, { handOver: hop, layers });
  };
}

/** NVFP4 has a scale for 16 activations, which is found before each product as that of 128 is. */
const scaledByBlocks = ({ name }: Dtype): boolean => name === 'fp8_block' || name === 'nvfp4';

/** What products take longer in a step of which so much is prompts. */
const slower = (times: number, mostly: number): number => 1 + (times - 1) * mostly;

const together = (curves: readonly Curve[]): Curve =>
  tabulated((m) => Math.max(1e-9, sum(curves.map((curve) => curve(m)))));

type Us = (query: Query) => number;
type Tabled = Omit<StepSetting, 'framework' | 'fitted'>;

/** All layers of one step of single tokens. A windowed layer sees its window. */
function decodeCurve(
  { model, placement, precision, hardware }: Tabled,
  us: Us,
): (batch: number, context: number) => number {
  const a = model.attention;
  const dtype = formatsOf(model, precision, hardware).cache.name;
  const layers = cachedLayers(model);
  const { attnTp } = placement;
  if (a.kind === 'latent') {
    const one = tabulated2((batch, kv) =>
      us({ op: 'mla-decode', batch: Math.round(batch), kv: Math.round(kv), heads: a.heads / attnTp, dtype }),
    );
    return (batch, context) => layers * one(batch, context);
  }
  const kvHeads = Math.max(1, a.kvHeads / attnTp);
  const one = tabulated2((batch, kv) =>
    us({
      op: 'attention-decode',
      batch: Math.round(batch),
      kv: Math.round(kv),
      heads: a.heads / attnTp,
      kvHeads,
      headDim: a.headDim,
      dtype,
    }),
  );
  const windowed = a.window?.layers ?? 0;
  return (batch, context) =>
    (layers - windowed) * one(batch, context) +
    (a.window ? windowed * one(batch, Math.min(context, a.window.positions)) : 0);
}

/** All layers of a step's prompts: as one prompt of equal pairs, or several of equal length. */
function prefillCurve({ model, placement }: Tabled, us: Us): (tokens: number, pairs: number) => number {
  const a = model.attention;
  const layers = cachedLayers(model);
  const heads = a.heads / placement.attnTp;
  const of = (batch: number, seq: number): number =>
    a.kind === 'latent'
      ? us({ op: 'mla-prefill', batch, seq, heads })
      : us({
          op: 'attention-prefill',
          batch,
          seq,
          heads,
          kvHeads: Math.max(1, a.kvHeads / placement.attnTp),
          headDim: a.headDim,
        });
  const whole = tabulated((seq) => of(1, Math.max(1, Math.round(seq))));
  const windowed = a.kind === 'heads' ? a.window : undefined;
  return (tokens, pairs) => {
    // A prompt of s tokens has s^2 / 2 pairs: work in proportion to pairs, at the rate of a prompt of that mean length.
    const seq = Math.max(1, (2 * pairs) / Math.max(1, tokens));
    const scaled = (length: number): number => (tokens / length) * whole(length);
    const full = (layers - (windowed?.layers ?? 0)) * scaled(seq);
    return full + (windowed ? windowed.layers * scaled(Math.min(seq, 2 * windowed.positions)) : 0);
  };
}

/** Rows to the experts and back, of one mixture layer. With one attention group the ranks hold every row already. */
function exchangeCurve(
  { model, placement, precision, hardware }: Tabled,
  us: Us,
): (fullest: number, all: number) => number {
  const { attnDp, ep } = placement;
  const ranks = stageGpus(placement);
  if (model.experts === 0 || attnDp === 1 || ranks === 1) return () => 0;
  const nodes = nodesOf(ranks, placement);
  const dtype = formatsOf(model, precision, hardware).experts.multiplier === 'bf16' ? 'bf16' : 'fp8';
  const common = { hidden: model.modelDim, experts: model.experts, topk: model.topK, ranks, nodes };
  if (ep > 1) {
    const both = tabulated((tokens) => {
      const rows = Math.max(1, Math.round(tokens / placement.attnTp));
      return (
        us({ op: 'ep-dispatch', tokens: rows, dtype, ...common }) +
        us({ op: 'ep-combine', tokens: rows, dtype: 'bf16', ...common })
      );
    });
    return (fullest) => both(fullest);
  }
  const bytes = (tokens: number): number => tokens * model.modelDim * 2;
  const both = tabulated(
    (tokens) =>
      us({ op: 'all_gather', bytes: bytes(tokens), ranks, nodes, dtype: 'half' }) +
      us({ op: 'reduce_scatter', bytes: bytes(tokens), ranks, nodes, dtype: 'half' }),
  );
  return (_fullest, all) => both(all);
}

/** The sum of two steps' parts, for totals. */
export function addParts(into: Record<StepPart, number>, step: StepTime, times: number): void {
  into.attention += times * step.attention;
  into.dense += times * step.dense;
  into.experts += times * step.experts;
  into.imbalance += times * step.imbalance;
  into.exposed += times * step.exposed;
  into.overhead += times * step.overhead;
}

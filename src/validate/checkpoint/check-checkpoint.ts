/** A checkpoint on one rank and on a layout beside float64, a layer at a time, so that a model of any size is checked. */
import { ConfigError, messageOf } from '../../core/errors.ts';
import { at, product, range } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { LayoutSpec } from '../../layout/spec.ts';
import type { CacheDtype } from '../../memory/rank-sizes.ts';
import { isDense, weightNames, type WeightSource } from '../../model/config.ts';
import { storedRows, storedValuesBy, valuesOf, type WeightDtypes } from '../../model/stored-weights.ts';
import { forwardByExpert } from '../../reference/by-expert.ts';
import { ReferenceCache } from '../../reference/cache.ts';
import { toF64 } from '../../tensor/tensor.ts';
import { addChoices, type Choices, compareChoices, NO_CHOICES, rowError } from './compare-rows.ts';
import { checkHead } from './head.ts';
import type { HiddenFile } from './hidden-file.ts';
import { type LayerRun, requireLayerRoom, runLayer } from './layer-run.ts';

/** Errors are in parts of the largest value of a row; the worst row counts. */
export interface LayerCheck {
  /** Given what float64 gives the layer. */
  readonly error: number;
  /** Given what the layers before it gave on the device. */
  readonly errorSoFar: number;
  /** As `error`: none of a layer without a router. */
  readonly choices: Choices;
  /** As `errorSoFar`. */
  readonly choicesSoFar: Choices;
}

export interface LayerRow {
  /** Of the whole model. */
  readonly layer: number;
  readonly routed: boolean;
  readonly oneRank: LayerCheck | undefined;
  readonly layout: LayerCheck;
  /** Of float64, and of one rank's (or else the layout's) layers so far, beside the user's file. */
  readonly reference: { readonly float64: number; readonly device: number } | undefined;
}

/** What a run of all layers ends with. */
export interface EndCheck {
  readonly error: number;
  readonly perplexity: number;
}

export interface CheckpointCheck {
  readonly tokens: number;
  readonly layers: readonly LayerRow[];
  /** Logits and perplexity. One rank is refused where the adapter cannot hold a layer whole. */
  readonly ends: {
    readonly float64: { readonly perplexity: number };
    readonly oneRank: EndCheck | { readonly refused: string };
    readonly layout: EndCheck;
  };
  /** float64 beside the user's logits; undefined where there are none. */
  readonly reference: { readonly logits: number | undefined } | undefined;
}

export interface CheckpointOptions {
  readonly weights: WeightSource;
  readonly dtypes: WeightDtypes;
  readonly cacheDtype: CacheDtype;
  readonly spec: LayoutSpec;
  readonly ids: readonly number[];
  /** What choices of the device's own stream may be off by. */
  readonly tolerance: number;
  readonly file?: HiddenFile | undefined;
  readonly firstLayer?: number;
  /** Of the device; undefined where it does not tell. */
  readonly freeBytes?: number | undefined;
  readonly say?: (text: string) => void;
}

/** Scores that are as good as equal in f32. A guess. */
const NEAR_TIE = 2e-5;

const ONE_RANK: LayoutSpec = { ep: 1, pp: 1, tp: 1, dp: 1 };

/** Streams of the device that goes on from what it gave. */
interface Way {
  readonly spec: LayoutSpec;
  own_TD: Float32Array;
}

/** @throws ConfigError when the adapter cannot hold a layer on the layout, before anything is read. */
export async function checkCheckpoint(gpu: Gpu, options: CheckpointOptions): Promise<CheckpointCheck> {
  const { weights, dtypes, spec, ids, file, tolerance, firstLayer = 0, say = () => undefined } = options;
  const { config } = weights;
  const exact = storedValuesBy(weights, dtypes, 'the same');
  const scale = config.hiddenScale ?? 1;
  requireLayers(gpu, options, spec);
  let exact_TD = await embedded(weights, dtypes, ids);
  const layout: Way = { spec, own_TD: Float32Array.from(exact_TD) };
  let oneRank: Way | undefined =
    product([spec.ep, spec.pp, spec.tp, spec.dp]) === 1
      ? undefined
      : { spec: ONE_RANK, own_TD: layout.own_TD };
  const alone = oneRank === undefined;
  let refused: string | undefined;
  const refuse = (error: unknown): undefined => {
    if (!(error instanceof ConfigError)) throw error;
    refused = messageOf(error);
    oneRank = undefined;
  };
  try {
    requireLayers(gpu, options, ONE_RANK);
  } catch (error) {
    refuse(error);
  }
  const rows: LayerRow[] = [];
  for (const layer of range(config.numLayers)) {
    say(`layer ${layer + 1} of ${config.numLayers}`);
    const input = Float32Array.from(exact_TD);
    const cache = new ReferenceCache(config.numLayers, config.numKvHeads * config.headDim);
    const { x_TD, routing } = await forwardByExpert(exact, layer, exact_TD, cache, gpu.signal);
    const judge = async (way: Way): Promise<LayerCheck> => {
      const run = { weights, dtypes, cacheDtype: options.cacheDtype, layer, spec: way.spec };
      const [given, own] = await runLayer(gpu, { ...run, streams: [input, way.own_TD] });
      const choices = (of: LayerRun | undefined, nearTie: number): Choices =>
        routing === undefined || of === undefined
          ? NO_CHOICES
          : compareChoices(of.experts_TK, routing.ids_TK, routing.gap_T, nearTie);
      way.own_TD = own?.hidden_TD ?? way.own_TD;
      return {
        error: rowError(given?.hidden_TD ?? [], x_TD, config.modelDim),
        errorSoFar: rowError(way.own_TD, x_TD, config.modelDim),
        choices: choices(given, NEAR_TIE),
        choicesSoFar: choices(own, tolerance),
      };
    };
    const onLayout = await judge(layout);
    let onOneRank: LayerCheck | undefined = alone ? onLayout : undefined;
    if (oneRank !== undefined) {
      const way = oneRank;
      onOneRank = await judge(way).catch(refuse);
    }
    const theirs = file?.layers.get(layer);
    const device = oneRank ?? layout;
    rows.push({
      ...{ layer: firstLayer + layer, routed: !isDense(config, layer), layout: onLayout, oneRank: onOneRank },
      reference: theirs && {
        float64: rowError(
          x_TD.map((x) => x * scale),
          theirs,
          config.modelDim,
        ),
        device: rowError(
          Float64Array.from(device.own_TD, (x) => x * scale),
          theirs,
          config.modelDim,
        ),
      },
    });
    exact_TD = x_TD;
  }
  say('logits');
  const streams = [layout.own_TD, ...(oneRank ? [oneRank.own_TD] : [])];
  const head = await checkHead(gpu, { weights, dtypes, ids, exact_TD, streams, file_TV: file?.logits });
  const endOf = (index: number): EndCheck => {
    const { error, perplexity } = at(head.accounts, index);
    return { error, perplexity };
  };
  return {
    tokens: ids.length,
    layers: rows,
    ends: {
      float64: { perplexity: head.perplexity },
      oneRank: alone ? endOf(0) : oneRank ? endOf(1) : { refused: refused ?? '' },
      layout: endOf(0),
    },
    reference: file && { logits: file.logits && endOf(streams.length).error },
  };
}

/** One layer of each kind: those of a kind take as much. */
function requireLayers(gpu: Gpu, options: CheckpointOptions, spec: LayoutSpec): void {
  const { weights, ids, dtypes, cacheDtype, freeBytes } = options;
  const layers = range(weights.config.numLayers);
  for (const dense of [true, false]) {
    const layer = layers.find((i) => isDense(weights.config, i) === dense);
    if (layer === undefined) continue;
    const run = { weights, dtypes, cacheDtype, layer, spec };
    requireLayerRoom(gpu, run, { count: 2, tokens: ids.length }, freeBytes);
  }
}

/** Rows of the embedding as they are stored, in float64. */
async function embedded(
  weights: WeightSource,
  dtypes: WeightDtypes,
  ids: readonly number[],
): Promise<Float64Array> {
  const { modelDim } = weights.config;
  await weights.load?.([weightNames.embedding]);
  const x_TD = new Float64Array(ids.length * modelDim);
  ids.forEach((first, t) => {
    const row = valuesOf(storedRows(weights, weightNames.embedding, dtypes, { first, count: 1 }));
    x_TD.set(toF64(row), t * modelDim);
  });
  return x_TD;
}

/** All choices of a run together. */
export function choicesOf(rows: readonly LayerRow[], of: (row: LayerRow) => Choices | undefined): Choices {
  return rows.map(of).reduce<Choices>((sum, one) => (one ? addChoices(sum, one) : sum), NO_CHOICES);
}

/** One layer of a checkpoint through the engine, on any layout, with rows of ours as the residual stream before it. */
import { at, range } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { planLayout } from '../../layout/layout.ts';
import type { LayoutSpec } from '../../layout/spec.ts';
import type { EngineSizing } from '../../memory/engine-plan.ts';
import type { CacheDtype } from '../../memory/rank-sizes.ts';
import { requireRoom } from '../../memory/room.ts';
import type { MoeConfig, WeightSource } from '../../model/config.ts';
import { withLayers } from '../../model/files/layers.ts';
import type { WeightDtypes } from '../../model/stored-weights.ts';
import { nameOf, placeOf } from '../../model/weights/parts.ts';
import { createEngine } from '../../runtime/engine.ts';
import { traitsOf } from '../../runtime/layer/kernels.ts';
import { f32Tensor, type Tensor } from '../../tensor/tensor.ts';

/** New tokens of a step; longer texts are fed in pieces, so that what a step needs is bounded. A guess. */
const STEP_TOKENS = 256;

/** Of a stream: [T, D] after the layer, and [T, K]; no experts of a layer without a router. */
export interface LayerRun {
  readonly hidden_TD: Float32Array;
  readonly experts_TK: Uint32Array;
}

export interface LayerRunOptions {
  readonly weights: WeightSource;
  readonly dtypes: WeightDtypes;
  readonly cacheDtype: CacheDtype;
  /** Stages of a pipeline have nothing to do with one layer. */
  readonly spec: LayoutSpec;
  readonly layer: number;
  /** [T, D] each, all equally long: sequences of their own. */
  readonly streams: readonly Float32Array[];
}

/**
 * Whether the adapter can hold the layer on this layout, told before anything is read. @param count of streams of so many tokens.
 * @throws ConfigError when it cannot.
 */
export function requireLayerRoom(
  gpu: Gpu,
  run: Omit<LayerRunOptions, 'streams'>,
  { count, tokens }: { readonly count: number; readonly tokens: number },
  freeBytes: number | undefined,
): void {
  const config = layerConfig(run.weights.config, run.layer, count * tokens);
  const layout = planLayout({ ...run.spec, pp: 1 }, config);
  requireRoom(layout, sizingOf(run, count, tokens), traitsOf(gpu), freeBytes);
}

function sizingOf(
  { dtypes, cacheDtype }: Pick<LayerRunOptions, 'dtypes' | 'cacheDtype'>,
  count: number,
  tokens: number,
): EngineSizing {
  return {
    ...{ cacheDtype, maxSequences: count, maxLength: tokens, microBatches: 1 },
    // Rows that are given are no weights.
    dtypes: { ...dtypes, embedding: 'f32', head: 'f32' },
    maxStepTokens: Math.min(tokens, STEP_TOKENS),
  };
}

/** @throws ConfigError when the adapter cannot hold the layer on this layout. */
export async function runLayer(gpu: Gpu, options: LayerRunOptions): Promise<LayerRun[]> {
  const { weights, layer, streams, spec } = options;
  const source = oneLayer(weights, layer, streams);
  const { config } = source;
  const tokens = at(streams, 0).length / config.modelDim;
  const layout = planLayout({ ...spec, pp: 1 }, config);
  const sizing = sizingOf(options, streams.length, tokens);
  const engine = await createEngine(gpu, { layout, weights: source, ...sizing });
  try {
    const hidden = streams.map(() => new Float32Array(tokens * config.modelDim));
    const experts = streams.map((): number[] => []);
    for (let first = 0; first < tokens; first += STEP_TOKENS) {
      const count = Math.min(STEP_TOKENS, tokens - first);
      const requests = streams.map((_, sequence) => ({
        sequence,
        ids: range(count).map((i) => sequence * tokens + first + i),
      }));
      const step = await engine.forward(requests, { hidden: true, experts: true });
      for (const s of range(streams.length)) {
        at(hidden, s).set(step.hidden?.[s]?.[0] ?? [], first * config.modelDim);
        for (const id of step.experts?.[s]?.[0] ?? []) at(experts, s).push(id);
      }
    }
    return hidden.map((hidden_TD, s) => ({ hidden_TD, experts_TK: Uint32Array.from(at(experts, s)) }));
  } finally {
    engine.destroy();
  }
}

function layerConfig(model: MoeConfig, layer: number, rows: number): MoeConfig {
  return { ...withLayers(model, { first: layer, count: 1 }).config, vocabSize: rows };
}

/** A model of this layer alone, whose vocabulary is the rows of the streams. */
function oneLayer(weights: WeightSource, layer: number, streams: readonly Float32Array[]): WeightSource {
  const { modelDim } = weights.config;
  const rows = new Float32Array(streams.reduce((sum, { length }) => sum + length, 0));
  streams.forEach((stream, s) => rows.set(stream, s * stream.length));
  const config = layerConfig(weights.config, layer, rows.length / modelDim);
  const ends: Readonly<Record<string, () => Tensor>> = {
    embedding: () => f32Tensor([config.vocabSize, modelDim], rows),
    finalNorm: () => f32Tensor([modelDim], new Float32Array(modelDim).fill(1)),
    lmHead: () => f32Tensor([config.vocabSize, modelDim], new Float32Array(rows.length)),
  };
  const endOf = (name: string) => ends[placeOf(name)?.part ?? ''];
  const inModel = (name: string): string => {
    const { part, expert } = placeOf(name) ?? { part: 'finalNorm', expert: 0 };
    return nameOf(part, layer, expert);
  };
  return {
    config,
    origin: weights.origin,
    get: (name) => endOf(name)?.() ?? weights.get(inModel(name)),
    load: async (names) => weights.load?.(names.filter((name) => endOf(name) === undefined).map(inModel)),
    packed: (name) => (endOf(name) === undefined ? weights.packed?.(inModel(name)) : undefined),
  };
}

/** Some layers of a model as a model of their own. */
import { ConfigError } from '../../core/errors.ts';
import type { MoeConfig } from '../config.ts';

/** Layers first, first + 1, ... of the whole model. */
export interface LayerRun {
  readonly first: number;
  readonly count: number;
}

/** `0-3` is four layers, `5` is one. @throws ConfigError for anything else. */
export function parseLayerRun(text: string): LayerRun {
  const [, first, last = first] = /^\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*$/.exec(text) ?? [];
  const run = { first: Number(first), count: Number(last) - Number(first) + 1 };
  if (first !== undefined && run.count >= 1) return run;
  throw new ConfigError(
    `layers are given as first-last, such as 0-3, or as one number; not as ${JSON.stringify(text)}.`,
  );
}

/** The config of these layers alone. @throws ConfigError for layers that the model has not. */
export function withLayers(
  config: MoeConfig,
  layers: LayerRun | undefined,
): { readonly config: MoeConfig; readonly firstLayer: number } {
  if (layers === undefined) return { config, firstLayer: 0 };
  const { first, count } = layers;
  const end = first + count;
  if (!(Number.isSafeInteger(first) && first >= 0 && count >= 1 && end <= config.numLayers)) {
    throw new ConfigError(
      `layers ${first}-${end - 1} are not all of ${config.name}, which has 0 to ${config.numLayers - 1}. Choose among those.`,
    );
  }
  const { attention, dense } = config;
  const kept = dense?.layers.filter((layer) => layer >= first && layer < end).map((layer) => layer - first);
  return {
    firstLayer: first,
    config: {
      ...config,
      numLayers: count,
      ...(attention?.windows && {
        attention: { ...attention, windows: attention.windows.slice(first, end) },
      }),
      ...(dense && kept && { dense: { dim: dense.dim, layers: kept } }),
    },
  };
}

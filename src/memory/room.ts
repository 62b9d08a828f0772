/** Whether an engine fits where it is to run, told before any weight is read; and if not, what of it would. */
import { ConfigError } from '../core/errors.ts';
import { divisorsOf, maxOf } from '../core/math.ts';
import { formatBytes } from '../core/units.ts';
import { planLayout, type Layout } from '../layout/layout.ts';
import { formatLayout } from '../layout/spec.ts';
import { withLayers } from '../model/files/layers.ts';
import { dtypesOf } from '../model/stored-weights.ts';
import { isPlain } from '../routing/placement.ts';
import { isQuantised, requireBlocks, type WeightDtype } from '../tensor/quantised.ts';
import type { DeviceTraits } from './device-traits.ts';
import { type EngineSizing, planEngine } from './engine-plan.ts';
import { bytesByPurpose, deviceMemory, totalBytes } from './lists.ts';

/** Fewer bits to try, the most first. */
const FEWER_BITS: readonly WeightDtype[] = ['f16', 'int8', 'int4'];

interface Need {
  readonly total: number;
  readonly byPurpose: Readonly<Record<string, number>>;
  readonly largest: { readonly name: string; readonly bytes: number };
}

/**
 * @param freeBytes of the device; undefined where it does not tell. @returns what the engine takes, bytes.
 * @throws ConfigError for one that does not fit, with the layers, the dtype or the ranks that would.
 */
export function requireRoom(
  layout: Layout,
  sizing: EngineSizing,
  traits: DeviceTraits,
  freeBytes: number | undefined,
): number {
  const need = needOf(layout, sizing, traits);
  if (fits(need, traits, freeBytes)) return need.total;
  const { largest, total, byPurpose } = need;
  const { weights = 0, 'kv-cache': cache = 0 } = byPurpose;
  const why =
    largest.bytes > traits.bindableBytes
      ? `its ${largest.name} takes ${formatBytes(largest.bytes)}, and this adapter binds ${formatBytes(traits.bindableBytes)} at once`
      : `it takes ${formatBytes(total)} (weights ${formatBytes(weights)}, cache ${formatBytes(cache)}), and ${formatBytes(freeBytes ?? 0)} are free`;
  const ways = [layersThatFit, bitsThatFit, ranksThatFit].flatMap(
    (find) => find(layout, sizing, traits, freeBytes) ?? [],
  );
  const remedy = ways.length > 0 ? `It fits with ${ways.join(', or with ')}.` : OTHERWISE;
  throw new ConfigError(`${layout.model.name} does not fit: ${why}. ${remedy}`);
}

const OTHERWISE =
  'Spread it over more ranks (a larger ep or tp), give it fewer tokens, or use another adapter.';

function needOf(layout: Layout, sizing: EngineSizing, traits: DeviceTraits): Need {
  const items = deviceMemory(planEngine(layout, sizing, traits), traits);
  const most = maxOf(
    items.map(({ bytes }) => bytes),
    0,
  );
  const { name = '' } = items.find(({ bytes }) => bytes === most) ?? {};
  return { total: totalBytes(items), byPurpose: bytesByPurpose(items), largest: { name, bytes: most } };
}

function fits(
  { total, largest }: Need,
  { bindableBytes }: DeviceTraits,
  freeBytes: number | undefined,
): boolean {
  return largest.bytes <= bindableBytes && total <= (freeBytes ?? Infinity);
}

type Find = (
  layout: Layout,
  sizing: EngineSizing,
  traits: DeviceTraits,
  freeBytes: number | undefined,
) => string | undefined;

/** As many of the first layers as fit. */
const layersThatFit: Find = (layout, sizing, traits, freeBytes) => {
  const works = (count: number): boolean => {
    const { config } = withLayers(layout.model, { first: 0, count });
    const { spec } = layout;
    const some = (): Layout => planLayout({ ...spec, pp: Math.min(spec.pp, count) }, config);
    return worksWith(some, sizing, traits, freeBytes);
  };
  let [least, most] = [0, layout.model.numLayers];
  while (most - least > 1) {
    const count = Math.floor((least + most) / 2);
    if (works(count)) least = count;
    else most = count;
  }
  return least === 0 ? undefined : `--layers ${least === 1 ? 0 : `0-${least - 1}`}`;
};

/** All layers in fewer bits. */
const bitsThatFit: Find = (layout, sizing, traits, freeBytes) => {
  const found = FEWER_BITS.find((weightDtype) => {
    const { model } = layout;
    try {
      if (isQuantised(weightDtype)) {
        for (const depth of [model.modelDim, model.expertDim, layout.headsOf(0).count * model.headDim])
          requireBlocks(weightDtype, 'A matrix', depth);
      }
    } catch {
      return false;
    }
    return worksWith(
      () => layout,
      { ...sizing, dtypes: dtypesOf(weightDtype), weightDtype },
      traits,
      freeBytes,
    );
  });
  return found && `--weights ${found}`;
};

/** More ranks, each with fewer experts: what is bound at once is less then. */
const ranksThatFit: Find = (layout, sizing, traits, freeBytes) => {
  const { spec, model, placement } = layout;
  if (sizing.placement !== undefined || !isPlain(placement)) return undefined;
  const found = divisorsOf(model.numExperts)
    .filter((ep) => ep > spec.ep && ep <= MOST_RANKS)
    .find((ep) => worksWith(() => planLayout({ ...spec, ep }, model), sizing, traits, freeBytes));
  return found === undefined ? undefined : `--layout ${formatLayout({ ...spec, ep: found })}`;
};

/** More would be told as advice to nobody. A guess. */
const MOST_RANKS = 64;

function worksWith(
  layout: () => Layout,
  sizing: EngineSizing,
  traits: DeviceTraits,
  freeBytes: number | undefined,
): boolean {
  try {
    return fits(needOf(layout(), sizing, traits), traits, freeBytes);
  } catch (error) {
    if (error instanceof ConfigError) return false;
    throw error;
  }
}

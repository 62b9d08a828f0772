/** Whether the files hold what the config asks for: every tensor, of the right shape, and none that is left out. */
import { ConfigError, invariant } from '../../core/errors.ts';
import { at } from '../../core/math.ts';
import { quoted, shapeText } from '../../core/text/quoted.ts';
import { BLOCK } from '../../tensor/quantised.ts';
import { isDense, type MoeConfig } from '../config.ts';
import { type FamilyModel, recipeOf } from '../families/family.ts';
import type { ReadModel } from '../families/table.ts';
import { numWeights } from '../weight-shapes.ts';
import { expertParts, layerParts, MODEL_PARTS, shapeOf, type WeightPlace } from '../weights/parts.ts';
import { fp8ScaleShape, requireFloats } from './decode.ts';
import type { StoredTensor } from './tensor-files.ts';

/** Names that a message lists. */
const LISTED = 4;

/** @throws ConfigError for a tensor that is missing, unknown, of the wrong shape or of integers. */
export function checkTensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  model: ReadModel,
  folder: string,
): void {
  const { config, family, ignored } = model;
  const known = new Set<string>();
  const wrong: Expected[] = [];
  const missing: Expected[] = [];
  let found = 0;
  for (const place of places(config, tensors)) {
    let complete = true;
    for (const expected of expectedOf(config, model, place, tensors)) {
      known.add(expected.name);
      if (!tensors.has(expected.name)) {
        complete = false;
        if (missing.length < LISTED) missing.push(expected);
      } else {
        wrong.push(expected);
      }
    }
    if (complete) found += 1;
  }
  const all = numWeights(config);
  if (found < all) {
    const listed = missing.map(({ name, shape }) => `${name} ${shapeText(shape)}`);
    throw new ConfigError(
      `Checkpoint ${folder} lacks ${all - found} of ${all} tensors: ${list(listed, all - found)}. ` +
        `Use Hugging Face ${family.title} names and a config.json of the same model.`,
    );
  }
  const strange = [...tensors.keys()].filter(
    (name) => !known.has(name) && !ignored.some((pattern) => pattern.test(name)),
  );
  if (strange.length > 0) {
    throw new ConfigError(
      `Checkpoint ${folder} has ${strange.length} tensors that a ${family.title} model does not use: ` +
        `${list(strange.slice(0, LISTED).map(printable), strange.length)}. ` +
        'Leaving them out would compute another model; use a checkpoint without them.',
    );
  }
  for (const expected of wrong) checkTensor(expected, tensors, model, folder);
}

function checkTensor(
  { name, shape, kind }: Expected,
  tensors: ReadonlyMap<string, StoredTensor>,
  model: ReadModel,
  folder: string,
): void {
  const found = tensors.get(name);
  if (found === undefined) return;
  if (found.shape.join() !== shape.join()) {
    throw new ConfigError(
      `Tensor ${name} of ${folder} has shape ${shapeText(found.shape)}, but config.json asks for ` +
        `${shapeText(shape)}. Use the config.json of the same model.`,
    );
  }
  if (kind === 'bytes') {
    if (found.dtype === 'U8') return;
    throw new ConfigError(
      `Tensor ${name} of ${folder} is of ${found.dtype}; MXFP4 is stored in U8. Fetch it again.`,
    );
  }
  requireFloats(name, found.dtype, folder);
  if (found.dtype !== 'F8_E4M3') return;
  if (model.fp8Block === undefined || found.shape.length !== 2) {
    throw new ConfigError(
      `Tensor ${name} of ${folder} is in FP8, but config.json has no quantization_config with weight_block_size. ` +
        'Use the config.json of the same model.',
    );
  }
}

/**
 * The tensors that the config asks for, as far as the files reach: a config may claim any number of layers and experts,
 * and what is beyond the files' own is missing in any case.
 */
function* places(config: MoeConfig, tensors: ReadonlyMap<string, StoredTensor>): Generator<WeightPlace> {
  let lastLayer = -1;
  let lastExpert = -1;
  let stacked = 0;
  for (const [name, { shape }] of tensors) {
    lastLayer = Math.max(lastLayer, Number(/\.layers\.(\d{1,15})\./.exec(name)?.[1] ?? -1));
    lastExpert = Math.max(lastExpert, Number(/\.experts\.(\d{1,15})\./.exec(name)?.[1] ?? -1));
    if (shape.length >= 2) stacked = Math.max(stacked, shape[0] ?? 0);
  }
  const layers = Math.min(config.numLayers, lastLayer + 2);
  const experts = Math.min(config.numExperts, Math.max(lastExpert + 2, Math.min(stacked, MOST_STACKED)));
  for (const part of MODEL_PARTS) yield { part, layer: 0, expert: 0 };
  for (let layer = 0; layer < layers; layer++) {
    const dense = isDense(config, layer);
    for (const part of layerParts(config, dense)) yield { part, layer, expert: 0 };
    for (let expert = 0; expert < (dense ? 0 : experts); expert++) {
      for (const part of expertParts(config)) yield { part, layer, expert };
    }
  }
}

/** Experts of one stack. A guess, above what any model has. */
const MOST_STACKED = 4096;

/** A tensor of the files and the shape that the config asks of it. */
interface Expected {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'floats' | 'bytes';
}

/** What the files must hold for one of our tensors. */
function expectedOf(
  config: MoeConfig,
  model: FamilyModel,
  place: WeightPlace,
  tensors: ReadonlyMap<string, StoredTensor>,
): Expected[] {
  const recipe = recipeOf(model, place.part, place.layer, place.expert);
  invariant(recipe !== undefined, () => `the family has no name for ${place.part}`);
  const [first, ...rest] = shapeOf(config, place.part);
  const whole = [recipe.allRows ?? first ?? 0, ...rest];
  const outer = recipe.outer === undefined ? [] : [config.numExperts];
  const { from } = recipe;
  if (recipe.packable && tensors.has(`${from}_blocks`)) {
    const [rows, depth] = [at(whole, 0), at(whole, 1)];
    const scales = [...outer, rows, depth / BLOCK];
    return [
      { name: `${from}_blocks`, shape: [...scales, BLOCK / 2], kind: 'bytes' },
      { name: `${from}_scales`, shape: scales, kind: 'bytes' },
    ];
  }
  const shape = recipe.transposed ? [...whole].reverse() : whole;
  const main: Expected = {
    name: from,
    shape: recipe.boxed ? [1, ...shape] : [...outer, ...shape],
    kind: 'floats',
  };
  const { fp8Block } = model;
  if (tensors.get(from)?.dtype !== 'F8_E4M3' || fp8Block === undefined) return [main];
  return [main, { name: `${from}_scale_inv`, shape: fp8ScaleShape(main.shape, fp8Block), kind: 'floats' }];
}

/** A name without its quotes, safe to show. */
function printable(name: string): string {
  return quoted(name).replace(/^"|"$/g, '');
}

/** The first few of a list, and how many more there are. */
function list(first: readonly string[], count: number): string {
  const rest = count - first.length;
  return first.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

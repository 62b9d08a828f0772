/** Hidden states that somebody else has computed, as a hook in PyTorch writes them: a safetensors file with a tensor per layer. */
import { ConfigError } from '../../core/errors.ts';
import { at } from '../../core/math.ts';
import { quoted, shapeText } from '../../core/text/quoted.ts';
import type { MoeConfig } from '../../model/config.ts';
import { readHeader } from '../../model/safetensors/header.ts';
import { readSafetensors } from '../../model/safetensors/safetensors.ts';
import { type Tensor, toF64 } from '../../tensor/tensor.ts';

export interface HiddenFile {
  readonly label: string;
  /** Of `input_ids`; undefined when the file does not tell them. */
  readonly ids: readonly number[] | undefined;
  /** After layer i, [T, D]. */
  readonly layers: ReadonlyMap<number, Float64Array>;
  /** [T, V] */
  readonly logits: Float64Array | undefined;
  readonly tokens: number;
  /** Whether any of it was kept in 16 bits, which round more than a check in f32 allows. */
  readonly halves: boolean;
}

const LAYER = /^(?:.*\.)?(?:layers?|h|blocks?)[._](\d{1,6})(?:\.(?:output|hidden_states?|out))?$/;
const STATE = /^(?:.*\.)?hidden_?states?[._](\d{1,6})$/;
const IDS = /^(?:input_ids|ids|tokens)$/;

const FORM =
  'Name them layers.0, layers.1, ... (after each layer, [tokens, width]), beside input_ids and, if you like, logits [tokens, vocabulary].';

/**
 * `layers.N` is what layer N gives; of `hidden_states.0` to `.L`, as transformers returns them, 0 is the embedding and L
 * comes after the last norm, so neither is looked at. A first dim of 1 is a batch of one.
 * @throws ConfigError for a file without hidden states, and for sizes that are not the model's.
 */
export function readHiddenFile(bytes: Uint8Array, label: string, config: MoeConfig): HiddenFile {
  const tensors = readSafetensors(bytes, label);
  const halves = readHeader(bytes, label).some(({ dtype }) => dtype === 'BF16' || dtype === 'F16');
  const states = [...tensors.keys()].filter((name) => STATE.test(name));
  const layers = new Map<number, Float64Array>();
  let ids: number[] | undefined;
  let logits: Float64Array | undefined;
  let tokens: number | undefined;
  const rows = (name: string, t: Tensor, width: number): Float64Array => {
    const shape = t.shape.length === 3 && t.shape[0] === 1 ? t.shape.slice(1) : t.shape;
    const [count, columns] = shape;
    if (shape.length !== 2 || columns !== width || (tokens !== undefined && count !== tokens)) {
      const wanted = shapeText([tokens ?? 'tokens', width] as number[]);
      throw new ConfigError(
        `${label}: ${quoted(name)} has shape ${shapeText(t.shape)}; for this model it must be ${wanted}. Write it for one text, of the same model.`,
      );
    }
    tokens = count;
    return toF64(t);
  };
  for (const [name, t] of tensors) {
    const layer = LAYER.exec(name)?.[1];
    const state = STATE.exec(name)?.[1];
    if (IDS.test(name)) ids = idsOf(t, name, label);
    else if (layer !== undefined)
      place(layers, Number(layer), rows(name, t, config.modelDim), config, name, label);
    else if (state !== undefined) {
      const own = rows(name, t, config.modelDim);
      // With one more than there are layers, the first is the embedding and the last has been through the norm.
      const all = states.length === config.numLayers + 1;
      const index = Number(state) - (all ? 1 : 0);
      if (index >= 0 && !(all && index === config.numLayers - 1))
        place(layers, index, own, config, name, label);
    } else if (name === 'logits') logits = rows(name, t, config.vocabSize);
  }
  if (tokens === undefined || layers.size === 0) {
    const found = [...tensors.keys()].slice(0, 4).map((name) => quoted(name));
    throw new ConfigError(
      `${label} holds no hidden states of layers (it has ${found.join(', ') || 'nothing'}). ${FORM}`,
    );
  }
  if (ids !== undefined && ids.length !== tokens) {
    throw new ConfigError(
      `${label} has ${ids.length} input_ids and hidden states of ${tokens} tokens. Write both for one text.`,
    );
  }
  return { label, ids, layers, logits, tokens, halves };
}

function place(
  layers: Map<number, Float64Array>,
  layer: number,
  rows: Float64Array,
  { numLayers, name }: MoeConfig,
  tensor: string,
  label: string,
): void {
  if (layer >= numLayers) {
    throw new ConfigError(
      `${label} has ${quoted(tensor)}, but ${name} has layers 0 to ${numLayers - 1}. Use a file of the same model.`,
    );
  }
  if (layers.has(layer)) {
    throw new ConfigError(
      `${label} tells layer ${layer} twice, also as ${quoted(tensor)}. Keep one of them.`,
    );
  }
  layers.set(layer, rows);
}

function idsOf(t: Tensor, name: string, label: string): number[] {
  const ids = Array.from(t.data, Number);
  const flat = t.shape.length === 1 || (t.shape.length === 2 && at(t.shape, 0) === 1);
  if (flat && ids.every((id) => Number.isSafeInteger(id) && id >= 0)) return ids;
  throw new ConfigError(`${label}: ${quoted(name)} must be the token ids of one text, [tokens]. ${FORM}`);
}

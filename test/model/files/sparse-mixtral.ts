/** A Mixtral of gigabytes whose files take no room: all of its weights are holes, which read as 0. */
import { open, writeFile } from 'node:fs/promises';
import { product } from '../../../src/core/math.ts';

/** Mixtral 8x7B's, but for the vocabulary, of which an adapter with bindings of 128 MiB holds no more. */
const SIZE = { modelDim: 4096, expertDim: 14336, kvDim: 1024, vocab: 8192 };

type Shapes = Record<string, readonly number[]>;

function layerShapes(layer: number, experts: number): Shapes {
  const { modelDim: D, expertDim: F, kvDim } = SIZE;
  const at = `model.layers.${layer}`;
  const shapes: Shapes = {
    [`${at}.input_layernorm.weight`]: [D],
    [`${at}.self_attn.q_proj.weight`]: [D, D],
    [`${at}.self_attn.k_proj.weight`]: [kvDim, D],
    [`${at}.self_attn.v_proj.weight`]: [kvDim, D],
    [`${at}.self_attn.o_proj.weight`]: [D, D],
    [`${at}.post_attention_layernorm.weight`]: [D],
    [`${at}.block_sparse_moe.gate.weight`]: [experts, D],
  };
  for (let e = 0; e < experts; e++) {
    const expert = `${at}.block_sparse_moe.experts.${e}`;
    Object.assign(shapes, {
      [`${expert}.w1.weight`]: [F, D],
      [`${expert}.w2.weight`]: [D, F],
      [`${expert}.w3.weight`]: [F, D],
    });
  }
  return shapes;
}

/** A file of BF16 tensors. @returns where its data begins. */
async function writeSparse(path: string, shapes: Shapes): Promise<number> {
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const begin = end;
      end += 2 * product(shape);
      return [name, { dtype: 'BF16', shape, data_offsets: [begin, end] }];
    }),
  );
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(json.length));
  const file = await open(path, 'w');
  await file.write(Buffer.concat([size, json]));
  await file.truncate(8 + json.length + end);
  await file.close();
  return 8 + json.length;
}

/** A run of bytes of a file. */
export interface FileRun {
  readonly path: string;
  readonly begin: number;
  readonly bytes: number;
}

/** Two layers in a shard each. @returns what of the shards is of the layers. */
export async function writeSparseMixtral(folder: string, experts: number): Promise<FileRun[]> {
  const { modelDim: D, expertDim, vocab } = SIZE;
  const config = {
    ...{ model_type: 'mixtral', hidden_act: 'silu', hidden_size: D, intermediate_size: expertDim },
    ...{ num_attention_heads: 32, num_key_value_heads: 8, num_hidden_layers: 2, vocab_size: vocab },
    ...{ num_local_experts: experts, num_experts_per_tok: 2, max_position_embeddings: 32768 },
    ...{ rms_norm_eps: 1e-5, rope_theta: 1e6, tie_word_embeddings: false, torch_dtype: 'bfloat16' },
  };
  await writeFile(`${folder}/config.json`, JSON.stringify(config));
  const ends: readonly Shapes[] = [
    { 'model.embed_tokens.weight': [vocab, D] },
    { 'model.norm.weight': [D], 'lm_head.weight': [vocab, D] },
  ];
  const map: Record<string, string> = {};
  const written: FileRun[] = [];
  for (const [layer, end] of ends.entries()) {
    const own = layerShapes(layer, experts);
    const shapes = { ...own, ...end };
    const name = `model-0000${layer + 1}-of-00002.safetensors`;
    for (const tensor of Object.keys(shapes)) map[tensor] = name;
    const path = `${folder}/${name}`;
    const begin = await writeSparse(path, shapes);
    const bytes = Object.values(own).reduce((sum, shape) => sum + 2 * product(shape), 0);
    written.push({ path, begin, bytes });
  }
  await writeFile(`${folder}/model.safetensors.index.json`, JSON.stringify({ weight_map: map }));
  return written;
}

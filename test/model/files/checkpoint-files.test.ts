/** Checkpoints with something wrong, as a user's command line meets them: what, the rule, the remedy, and exit code 2. */
import { cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { buildProgram } from '../../../src/cli/program.ts';
import { failureOf } from '../../../src/cli/run.ts';
import { type FamilyName, folderOf } from '../families/checkpoints.ts';
import { scratchFolder } from '../../cli/spawn.ts';

type Change = (folder: string) => Promise<void>;

async function json(file: string, change: (fields: Record<string, unknown>) => void): Promise<void> {
  const fields = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  change(fields);
  await writeFile(file, JSON.stringify(fields));
}

const config =
  (fields: object): Change =>
  (folder) =>
    json(`${folder}/config.json`, (all) => void Object.assign(all, fields));

const index =
  (change: (map: Record<string, unknown>) => void): Change =>
  (folder) =>
    json(`${folder}/model.safetensors.index.json`, (all) =>
      change(all.weight_map as Record<string, unknown>),
    );

/** The header of a safetensors file, written anew in its place. */
const header =
  (change: (entries: Record<string, { dtype: string; shape: number[] }>) => void): Change =>
  async (folder) => {
    const file = `${folder}/model.safetensors`;
    const bytes = await readFile(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const entries = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Parameters<typeof change>[0];
    change(entries);
    const text = Buffer.from(JSON.stringify(entries));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    await writeFile(file, Buffer.concat([size, text, bytes.subarray(8 + length)]));
  };

const POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:01\nsize 133296\n';
const SHARD = 'model-00002-of-00003.safetensors';
const tokenizer =
  (change: (fields: Record<string, unknown>) => void): Change =>
  (folder) =>
    json(`${folder}/tokenizer.json`, change);
const template =
  (text: string): Change =>
  (folder) =>
    json(`${folder}/tokenizer_config.json`, (all) => (all.chat_template = text));

/** Files of another kind in place of those that are taken away. */
const instead =
  (away: RegExp, ...files: readonly string[]): Change =>
  async (folder) => {
    for (const file of await readdir(folder)) if (away.test(file)) await rm(`${folder}/${file}`);
    for (const file of files) await writeFile(`${folder}/${file}`, 'x');
  };

const CASES: readonly (readonly [
  what: string,
  family: FamilyName,
  change: Change,
  message: RegExp,
  chat?: true,
])[] = [
  [
    'a missing shard',
    'mixtral',
    (f) => rm(`${f}/${SHARD}`),
    /names the shard model-00002.* which is not there\. Fetch it/,
  ],
  [
    'an index with absent tensors',
    'mixtral',
    index((m) => (m['model.layers.9.x'] = SHARD)),
    /places tensor "model\.layers\.9\.x" in .* does not hold it\. Fetch/,
  ],
  [
    'a tensor that the index has not',
    'mixtral',
    index((m) => delete m['model.norm.weight']),
    /holds tensor "model\.norm\.weight", which .* does not place there/,
  ],
  [
    "a shape that is not the config's",
    'mixtral',
    config({ intermediate_size: 48 }),
    /has shape \[40, 48\], but config\.json asks for \[48, 48\]/,
  ],
  [
    'a tensor of integers',
    'qwen3-moe',
    header((e) => ((e['model.norm.weight'] ?? { dtype: '' }).dtype = 'I16')),
    /dtype "I16".*Convert it to one of/,
  ],
  [
    'blocks of another dtype',
    'gpt-oss-mxfp4',
    header((e) => Object.entries(e).forEach(([k, t]) => k.endsWith('_blocks') && (t.dtype = 'I8'))),
    /is of I8; MXFP4 is stored in U8/,
  ],
  [
    'FP8 without its config',
    'qwen3-moe',
    header((e) => {
      const t = e['lm_head.weight'];
      if (t) [t.dtype, t.shape] = ['F8_E4M3', [800, 48]];
    }),
    /has shape \[800, 48\], but config\.json asks for \[400, 48\]/,
  ],
  [
    'an unknown rope type',
    'mixtral',
    config({ rope_scaling: { rope_type: 'spiral', factor: 2 } }),
    /sets rope_type to "spiral".*Supported: default, linear, yarn/,
  ],
  [
    'the same in newer keys',
    'mixtral',
    config({ rope_parameters: { rope_type: 'ntk', rope_theta: 1e4 } }),
    /sets rope_type to "ntk"/,
  ],
  [
    'a negative size',
    'mixtral',
    config({ hidden_size: -48 }),
    /hidden_size: .*Expected >=1 but received -48/,
  ],
  ['an absurd vocabulary', 'mixtral', config({ vocab_size: 1e12 }), /asks for \[1000000000000, 48\]/],
  ['absurdly many layers', 'mixtral', config({ num_hidden_layers: 1e15 }), /lacks \d+ of \d+ tensors/],
  ['absurdly many experts', 'mixtral', config({ num_local_experts: 1e12 }), /lacks \d+ of \d+ tensors/],
  [
    'a field that no family has',
    'mixtral',
    config({ kv_lora_rank: 512 }),
    /sets kv_lora_rank to 512, .* Families that run, as published: mixtral, .*ernie4_5_moe\./,
  ],
  ['a multiplier of another family', 'qwen3-moe', config({ logits_scaling: 8 }), /sets logits_scaling to 8/],
  [
    'an unknown family',
    'mixtral',
    config({ model_type: 'llama' }),
    /model_type to "llama".*Supported: mixtral, qwen3_moe/,
  ],
  [
    'a tokenizer of an unknown kind',
    'mixtral',
    tokenizer((t) => (t.model = { type: 'Quantum' })),
    /a tokenizer of kind "Quantum"\. Known are BPE/,
  ],
  [
    'a tokenizer with an unknown part',
    'mixtral',
    tokenizer((t) => (t.pre_tokenizer = { type: 'Telepathy' })),
    /Unknown PreTokenizer type: Telepathy/,
  ],
  [
    'a chat template that refuses',
    'mixtral',
    template('{{ raise_exception("no roles") }}'),
    /chat template of .*tokenizer_config\.json fails \(no roles\)/,
    true,
  ],
  [
    'a chat template that is broken',
    'mixtral',
    template('{% for m in messages %}'),
    /chat template of .* fails/,
    true,
  ],
  [
    'a pointer in place of a shard',
    'mixtral',
    (f) => writeFile(`${f}/${SHARD}`, POINTER),
    /is a Git LFS pointer.*Run git lfs pull/,
  ],
  [
    'a pointer in place of the tokenizer',
    'mixtral',
    (f) => writeFile(`${f}/tokenizer.json`, POINTER),
    /tokenizer\.json is a Git LFS pointer/,
  ],
  [
    'a download that ended early',
    'mixtral',
    (f) => truncate(`${f}/${SHARD}`, 100000),
    /ends at byte \d+ of the data, but there are \d+\. The file is cut short; fetch it again/,
  ],
  [
    'one that ended in its header',
    'mixtral',
    (f) => truncate(`${f}/${SHARD}`, 3000),
    /it is cut short, or not safetensors\. Fetch it again/,
  ],
  [
    'files of PyTorch',
    'mixtral',
    instead(/safetensors/, 'pytorch_model-00001-of-00002.bin'),
    /has its weights in "pytorch_model-00001-of-00002\.bin": .*can run code.*save_pretrained/,
  ],
  [
    'a GGUF file alone',
    'mixtral',
    instead(/./, 'Mixtral-Q4_K_M.gguf'),
    /has "Mixtral-Q4_K_M\.gguf": GGUF files are not read\. Fetch the model/,
  ],
  [
    'shards without their index',
    'mixtral',
    instead(/index/),
    /has shards such as "model-0000\d-of-00003\.safetensors", but no model\.safetensors\.index\.json/,
  ],
  [
    'an adapter',
    'mixtral',
    instead(/safetensors/, 'adapter_model.safetensors'),
    /has "adapter_model\.safetensors", but no model\.safetensors\. Adapters are no models/,
  ],
  ['an empty folder', 'mixtral', instead(/./), /is empty\. Fetch the model into it/],
  [
    "a model's folder in the cache of the hub",
    'mixtral',
    async (f) => {
      await mkdir(`${f}/snapshots/abc`, { recursive: true });
      await mkdir(`${f}/blobs`);
      await rename(`${f}/config.json`, `${f}/snapshots/abc/config.json`);
    },
    /folder in the hub's cache\. Name one of the folders in its snapshots/,
  ],
  [
    'a tokenizer of another form',
    'mixtral',
    instead(/^tokenizer\.json$/, 'tokenizer.model'),
    /neither tokenizer\.json nor vocab\.json.*AutoTokenizer\.from_pretrained/,
  ],
  [
    'a vocabulary without the rest',
    'mixtral',
    async (f) => {
      await rm(`${f}/tokenizer.json`);
      await writeFile(`${f}/vocab.json`, '{"a": 0, "b": 1}');
    },
    /neither tokenizer\.json nor vocab\.json/,
  ],
  [
    'an empty one',
    'mixtral',
    (f) => truncate(`${f}/${SHARD}`, 0),
    /has 0 bytes; a safetensors file starts with/,
  ],
];

const cases = CASES.map(([what, family, change, message, chat]) => ({ what, family, change, message, chat }));

test.each(cases)('$what ($family)', async ({ family, change, message, chat }) => {
  const folder = await scratchFolder();
  await cp(folderOf(family), folder, { recursive: true });
  await change(folder);
  // No adapter of this name: what is wrong is told before one is looked for.
  const args = ['generate', '--model', folder, '--prompt', 'Hi', '--tokens', '1', '--adapter', 'nosuch'];
  const error: unknown = await buildProgram()
    .parseAsync([...args, ...(chat ? ['--chat'] : [])], { from: 'user' })
    .catch((reason: unknown) => reason);
  expect(failureOf(error)).toMatchObject({
    code: 2,
    kind: 'usage',
    message: expect.stringMatching(message) as string,
  });
});

test('what only a config is asked for refuses the same', async () => {
  const folder = await scratchFolder();
  const messageOf = async (text: string): Promise<unknown> => {
    await writeFile(`${folder}/config.json`, text);
    const asked = buildProgram().parseAsync(['layout', '--model', folder], { from: 'user' });
    return failureOf(await asked.catch((reason: unknown) => reason));
  };
  const fields = JSON.parse(await readFile(`${folderOf('mixtral')}/config.json`, 'utf8')) as object;
  const told = (message: RegExp) => ({ code: 2, message: expect.stringMatching(message) as string });
  expect(await messageOf(POINTER)).toMatchObject(told(/config\.json is a Git LFS pointer/));
  expect(await messageOf(JSON.stringify({ ...fields, num_hidden_layers: 1e15 }))).toMatchObject(
    told(/numLayers \(1000000000000000\) .* must be at most 16384/),
  );
  expect(await messageOf(JSON.stringify({ ...fields, model_type: undefined }))).toMatchObject(
    told(/has no model_type, .*Supported: mixtral/),
  );
});

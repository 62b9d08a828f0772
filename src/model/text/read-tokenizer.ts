/** The tokenizer of a folder: vocab.json of characters, or tokenizer.json with what lies beside it. */
import { ConfigError, isAbsent } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { Folder } from '../files/tensor-files.ts';
import { refusePointer } from '../safetensors/header.ts';
import { MOST_JSON_BYTES, parseStrictJson } from '../safetensors/strict-json.ts';
import { readCharVocab } from './char-tokenizer.ts';
import { type ChatTemplate, hubTokenizer } from './hub-tokenizer.ts';
import type { Tokenizer } from './tokenizer.ts';

/** What of a folder's files about text is of use without its weights. */
type Files = Pick<Folder, 'path' | 'readFile'>;

async function readIfThere(folder: Files, file: string): Promise<Uint8Array | undefined> {
  try {
    const bytes = await folder.readFile(folder.path(file), MOST_JSON_BYTES);
    refusePointer(bytes, folder.path(file));
    return bytes;
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return undefined;
  }
}

async function readRecord(folder: Files, file: string): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readIfThere(folder, file);
  if (bytes === undefined) return {};
  const json = parseStrictJson(bytes, folder.path(file));
  return typeof json === 'object' && json !== null && !Array.isArray(json)
    ? (json as Record<string, unknown>)
    : {};
}

/** Undefined when the folder has none. @throws ConfigError for a file that is none. */
export async function readTokenizer(folder: Files, vocabSize: number): Promise<Tokenizer | undefined> {
  const bytes = await readIfThere(folder, 'tokenizer.json');
  const chars = await readIfThere(folder, 'vocab.json');
  const label = folder.path('vocab.json');
  const kind = chars && kindOfVocab(chars, label);
  if (chars !== undefined && (kind === 'char' || (kind === 'unknown' && bytes === undefined))) {
    return readCharVocab(chars, label, vocabSize);
  }
  if (bytes === undefined) return undefined;
  const path = folder.path('tokenizer.json');
  return hubTokenizer(parseStrictJson(bytes, path), path, vocabSize, await readTemplate(folder));
}

/** `ids`: the hub's vocab.json of other tokenizers is {token: id}; it is of no use without the rest, which tokenizer.json has. */
function kindOfVocab(bytes: Uint8Array, label: string): 'char' | 'ids' | 'unknown' {
  const json = parseStrictJson(bytes, label);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'unknown';
  if ('type' in json && json.type === 'char') return 'char';
  const ids: unknown[] = Object.values(json);
  return ids.length > 0 && ids.every((id) => typeof id === 'number') ? 'ids' : 'unknown';
}

/** `chat_template.jinja`, or the one of tokenizer_config.json; of several the one that is called default. */
async function readTemplate(folder: Files): Promise<ChatTemplate | undefined> {
  const config = await readRecord(folder, 'tokenizer_config.json');
  const tokens: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    const content = typeof value === 'object' && value !== null && 'content' in value ? value.content : value;
    if (key.endsWith('_token') && typeof content === 'string') tokens[key] = content;
  }
  const jinja = await readIfThere(folder, 'chat_template.jinja');
  if (jinja !== undefined) {
    return { text: new TextDecoder().decode(jinja), label: folder.path('chat_template.jinja'), tokens };
  }
  const text = chosen(config.chat_template);
  return text === undefined ? undefined : { text, label: folder.path('tokenizer_config.json'), tokens };
}

function chosen(given: unknown): string | undefined {
  if (typeof given === 'string') return given;
  if (!Array.isArray(given)) return undefined;
  const named = given.filter(
    (t): t is { name: string; template: string } =>
      typeof t === 'object' &&
      t !== null &&
      'name' in t &&
      typeof (t as { template?: unknown }).template === 'string',
  );
  return (named.find(({ name }) => name === 'default') ?? named[0])?.template;
}

/**
 * Tokens that end a text: those of generation_config.json, else of config.json; a number or a list.
 * @throws ConfigError for anything else.
 */
export async function readEndIds(folder: Files, vocabSize: number): Promise<readonly number[]> {
  for (const file of ['generation_config.json', 'config.json']) {
    const given = (await readRecord(folder, file)).eos_token_id;
    if (given === undefined || given === null) continue;
    const ids: unknown[] = Array.isArray(given) ? given : [given];
    const wrong = ids.find(
      (id) => !(Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < vocabSize),
    );
    if (wrong === undefined) return ids as number[];
    throw new ConfigError(
      `${folder.path(file)} sets eos_token_id to ${quoted(given)}; ends are tokens from 0 to ${vocabSize - 1}. Correct it.`,
    );
  }
  return [];
}

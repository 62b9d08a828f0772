/** The tokenizer that a tokenizer.json describes, by @huggingface/tokenizers. */
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import { ConfigError, messageOf } from '../../core/errors.ts';
import { maxOf } from '../../core/math.ts';
import { quoted, shortened } from '../../core/text/quoted.ts';
import { renderChat } from './chat-template.ts';
import type { ChatMessage, TextStream, Tokenizer } from './tokenizer.ts';

/** What of the library is used: its own types cannot be resolved here. */
interface Hub {
  readonly decoder: { decode(tokens: readonly string[]): string } | null;
  get_vocab(): Map<string, number>;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
}
const Hub = HubTokenizer as unknown as new (json: object, config: object) => Hub;

/** Kinds of models that the library reads. */
const KINDS = ['BPE', 'Unigram', 'WordPiece'];

/** Of a template's own words, which may quote all of it. */
const SHOWN = 160;

/** What stands for bytes that are no character, or not yet. */
const REPLACEMENT = '\ufffd';
const BYTE_TOKEN = /^<0x[0-9A-F]{2}>$/;

/** A chat template with the tokens that it names. */
export interface ChatTemplate {
  readonly text: string;
  /** The file that it comes from, for messages. */
  readonly label: string;
  readonly tokens: Readonly<Record<string, string>>;
}

/**
 * @param json of the file `label`. @param vocabSize ids of texts must be below it.
 * @throws ConfigError for a file that is no tokenizer, or of a kind that is not known.
 */
export function hubTokenizer(
  json: unknown,
  label: string,
  vocabSize: number,
  template?: ChatTemplate,
): Tokenizer {
  const fields = isRecord(json) ? json : {};
  const model = isRecord(fields.model) ? fields.model : {};
  // Older files do not name the kind of the oldest.
  const kind = model.type ?? (Array.isArray(model.merges) ? 'BPE' : undefined);
  if (typeof kind !== 'string' || !KINDS.includes(kind)) {
    throw new ConfigError(
      `${label} describes a tokenizer of kind ${quoted(kind)}. Known are ${KINDS.join(', ')}; export it again with transformers.`,
    );
  }
  const hub = guarded(`${label} cannot be used as a tokenizer`, () => new Hub(json as object, {}));
  const tokenOf = new Map<number, string>();
  for (const [token, id] of hub.get_vocab()) tokenOf.set(id, token);
  const isByte = (id: number): boolean => BYTE_TOKEN.test(tokenOf.get(id) ?? '');
  const textOf = (ids: readonly number[]): string => {
    const tokens = wholeRuns(ids.map((id) => tokenOf.get(id) ?? unknown(id, label)));
    return guarded(`${label} cannot decode`, () => hub.decoder?.decode(tokens) ?? tokens.join(''));
  };
  const encoded = (text: string, special: boolean): number[] => {
    const ids: number[] = guarded(
      `${label} cannot encode the text`,
      () => hub.encode(text, { add_special_tokens: special }).ids,
    );
    const beyond = ids.find((id) => !(id < vocabSize));
    if (beyond === undefined) return ids;
    throw new ConfigError(
      `${label} writes token ${beyond}, but the model's vocab_size is ${vocabSize}. Use the tokenizer of this model.`,
    );
  };
  return {
    size: maxOf([...tokenOf.keys()], -1) + 1,
    encode: (text) => encoded(text, true),
    decode: (ids) => textOf([...ids]),
    stream: () => streamOf(textOf, isByte),
    ...(template && { chat: (messages) => encoded(rendered(template, messages), false) }),
  };
}

function unknown(id: number, label: string): never {
  throw new ConfigError(`Token id ${id} is none of ${label}. Decode ids of this model only.`);
}

/**
 * A run of byte tokens that is no text as a whole becomes a replacement for each, as the tokenizers of Hugging Face do;
 * the library would keep the part that is text.
 */
function wholeRuns(tokens: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < tokens.length;) {
    let end = i;
    while (BYTE_TOKEN.test(tokens[end] ?? '')) end += 1;
    const run = tokens.slice(i, Math.max(end, i + 1));
    const text = end === i || isText(run);
    for (const token of run) kept.push(text ? token : REPLACEMENT);
    i += run.length;
  }
  return kept;
}

function isText(run: readonly string[]): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(
      Uint8Array.from(run, (token) => Number.parseInt(token.slice(3, 5), 16)),
    );
    return true;
  } catch {
    return false;
  }
}

/**
 * Tokens are decoded with the few before them, whose text is known. What may still change waits: the end of bytes that are
 * no character yet; and a run of byte tokens, which become one replacement each if the run as a whole is no text.
 */
function streamOf(textOf: (ids: readonly number[]) => string, isByte: (id: number) => boolean): TextStream {
  let known: number[] = [];
  let waiting: number[] = [];
  const take = (): string => {
    const before = textOf(known);
    const all = textOf([...known, ...waiting]);
    known = known.length === 0 ? [...waiting] : [...known.slice(-1), ...waiting];
    waiting = [];
    return all.slice(before.length);
  };
  return {
    push: (id) => {
      waiting.push(id);
      return isByte(id) || textOf([...known, ...waiting]).endsWith(REPLACEMENT) ? '' : take();
    },
    end: () => (waiting.length === 0 ? '' : take()),
  };
}

function rendered({ text, label, tokens }: ChatTemplate, messages: readonly ChatMessage[]): string {
  return guarded(`The chat template of ${label} fails`, () => renderChat(text, tokens, messages));
}

function guarded<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const words = shortened(messageOf(error), SHOWN).replace(/[\p{Cc}\s]+/gu, ' ');
    throw new ConfigError(`${what} (${words}). Use the files of this model as they were published.`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

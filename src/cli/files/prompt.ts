/** The text that a command continues: of an option, of a file, or what comes through stdin. */
import { fstatSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { ConfigError } from '../../core/errors.ts';
import { formatBytes } from '../../core/units.ts';
import { platformHere } from '../session.ts';

/** Far above what any model takes. A guess. */
const MOST_BYTES = 16 * 2 ** 20;

/** @throws ConfigError for two sources, for none, and for what is no text. */
export async function readPrompt(given: {
  readonly prompt?: string | undefined;
  readonly promptFile?: string | undefined;
}): Promise<string> {
  const { prompt, promptFile } = given;
  if (prompt !== undefined && promptFile !== undefined) {
    throw new ConfigError('--prompt and --prompt-file both name a text to continue. Give one of them.');
  }
  if (prompt !== undefined) return prompt;
  if (promptFile !== undefined && promptFile !== '-') {
    return textOf(await platformHere().readFile(promptFile, MOST_BYTES), promptFile);
  }
  const waits = promptFile === '-';
  const bytes = waits || isPiped() ? await readStdin(waits ? Infinity : FIRST_BYTE_MS) : new Uint8Array();
  if (bytes.length > 0) return textOf(bytes, 'stdin');
  throw new ConfigError(
    'generate needs --prompt <text>, the text to continue; --prompt-file <file>, or text through stdin.',
  );
}

/** The text of an option or of a file; undefined for neither. @throws ConfigError for both, and for what is no text. */
export async function readText(given: {
  readonly text?: string | undefined;
  readonly textFile?: string | undefined;
}): Promise<string | undefined> {
  const { text, textFile } = given;
  if (text !== undefined && textFile !== undefined) {
    throw new ConfigError('--text and --text-file both name a text. Give one of them.');
  }
  if (textFile === undefined) return text;
  const bytes =
    textFile === '-' ? await readStdin(Infinity) : await platformHere().readFile(textFile, MOST_BYTES);
  return textOf(bytes, textFile === '-' ? 'stdin' : textFile);
}

/** How long a pipe that nobody asked us to read may be silent: whoever started us may have left it open. A guess. */
const FIRST_BYTE_MS = 1000;

/** Whether somebody has put a file or a pipe in the place of the keyboard. */
function isPiped(): boolean {
  try {
    const facts = fstatSync(0);
    return facts.isFIFO() || facts.isFile() || facts.isSocket();
  } catch {
    return false;
  }
}

/** Nothing when nothing has come after `silentMs`. */
async function readStdin(silentMs: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  const source = process.stdin[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const silence = new AbortController();
  const silent =
    silentMs === Infinity
      ? new Promise<never>(() => undefined)
      : pause(silentMs, undefined, { signal: silence.signal }).catch(() => undefined);
  for (;;) {
    const next = await (length === 0 ? Promise.race([source.next(), silent]) : source.next());
    if (next === undefined) {
      process.stdin.pause();
      process.stdin.unref();
    }
    if (next === undefined || next.done === true) break;
    silence.abort();
    chunks.push(next.value);
    length += next.value.length;
    if (length > MOST_BYTES) {
      throw new ConfigError(
        `stdin brings more than ${formatBytes(MOST_BYTES)}; a prompt has at most that. Shorten it.`,
      );
    }
  }
  silence.abort();
  return Buffer.concat(chunks);
}

function textOf(bytes: Uint8Array, label: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${label} is not valid UTF-8, so it is no text. Convert it.`);
  }
}

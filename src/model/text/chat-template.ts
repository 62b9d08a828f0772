/** Chat templates, rendered within bounds: they come with a model's files, and may ask for any amount of time or memory. */
import * as library from '@huggingface/jinja';
import { maxOf, sum } from '../../core/math.ts';
import type { ChatMessage } from './tokenizer.ts';

/** Characters of a template; those of published models have fewer than 20,000. */
const MOST_TEMPLATE = 2 ** 17;
/** The library takes the square of it. */
const MOST_SPACE = 2 ** 10;
/** Characters and elements of a value beside the messages, and how often these may be repeated. A guess. */
const MOST_OWN = 2 ** 16;
const MOST_COPIES = 4;
/** A published template takes less than one. */
const MOST_MS = 2000;

interface Environment {
  set(name: string, value: unknown): void;
}
interface Made {
  readonly value: unknown;
}
/** What of the library is used: its own types cannot be resolved here. */
const { Environment, Interpreter, Template } = library as unknown as {
  readonly Environment: new () => Environment;
  readonly Interpreter: new (environment: Environment) => {
    run(program: unknown): Made;
    /** Of every part of a template, and of its parts by itself. */
    evaluate(part: unknown, environment: Environment): Made;
  };
  readonly Template: new (text: string) => {
    readonly parsed: unknown;
    render(values: Readonly<Record<string, unknown>>): string;
  };
};

/** Nothing that it evaluates is larger than `most`, and it ends in time. */
class BoundedInterpreter extends Interpreter {
  readonly #most: number;
  readonly #mostMs: number;
  readonly #ends: number;
  readonly #sizes = new WeakMap<object, number>();

  constructor(environment: Environment, most: number, mostMs: number) {
    super(environment);
    this.#most = most;
    this.#mostMs = mostMs;
    this.#ends = performance.now() + mostMs;
  }

  override evaluate(part: unknown, environment: Environment): Made {
    if (!(performance.now() < this.#ends)) {
      throw new Error(`it takes more than ${this.#mostMs} ms`);
    }
    const made = super.evaluate(part, environment);
    if (!(this.#size(made.value) <= this.#most)) throw tooMuch(this.#most);
    return made;
  }

  /** Characters and elements, those of values in it counted as often as they are in it. */
  #size(value: unknown): number {
    if (typeof value === 'string') return value.length;
    if (!Array.isArray(value) && !(value instanceof Map)) return 1;
    const known = this.#sizes.get(value);
    if (known !== undefined) return known;
    // Until it is known: what contains itself has no end.
    this.#sizes.set(value, Infinity);
    const all = [...value.values()] as readonly { readonly value: unknown }[];
    const size = all.length > this.#most ? Infinity : all.length + sum(all.map((v) => this.#size(v.value)));
    this.#sizes.set(value, size);
    return size;
  }
}

/** @throws Error for a template that cannot be read, fails, or asks for too much. */
export function renderChat(
  text: string,
  tokens: Readonly<Record<string, string>>,
  messages: readonly ChatMessage[],
  mostMs = MOST_MS,
): string {
  if (text.length > MOST_TEMPLATE) {
    throw new Error(`it has ${text.length} characters, more than ${MOST_TEMPLATE}`);
  }
  const longest = maxOf(
    text.split(/\S+/).map(({ length }) => length),
    0,
  );
  if (longest > MOST_SPACE) throw new Error(`it has ${longest} blanks in a row, more than ${MOST_SPACE}`);
  const given = sum(messages.map(({ role, content }) => role.length + content.length));
  const most = MOST_OWN + MOST_COPIES * given;
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...globalsWithin(most), ...tokens, messages })) {
    environment.set(name, value);
  }
  environment.set('add_generation_prompt', true);
  const { value } = new BoundedInterpreter(environment, most, mostMs).run(new Template(text).parsed);
  return String(value);
}

/** Those of the library, but for a range that has bounds. */
function globalsWithin(most: number): Record<string, unknown> {
  return {
    ...{ true: true, True: true, false: false, False: false, none: null, None: null },
    raise_exception: (message: unknown) => {
      throw new Error(String(message));
    },
    range: (start: number, stop?: number, step?: number) => {
      const [first, end, by] = stop === undefined ? [0, start, 1] : [start, stop, step ?? 1];
      if (!(Math.abs((end - first) / by) <= most)) throw tooMuch(most);
      return Array.from({ length: Math.max(0, Math.ceil((end - first) / by)) }, (_, i) => first + i * by);
    },
    strftime_now: (format: string) => new Template('{{ strftime_now(format) }}').render({ format }),
  };
}

function tooMuch(most: number): Error {
  return new Error(`it makes a value of more than ${most} characters or elements`);
}

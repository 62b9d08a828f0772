/** What a caller in JavaScript gives: no compiler has looked at it, so the doors of the API do. */
import { ConfigError } from './errors.ts';
import { didYouMean } from './text/near-names.ts';
import { quoted } from './text/quoted.ts';

/** `list` is anything with a length and numbers for names; `record` any object, a Map included. */
export type Kind = 'string' | 'number' | 'flag' | 'function' | 'record' | 'list' | 'signal' | 'any';

/** What an object must have by name; what may be left out has a question mark. */
export type Fields = Readonly<Record<string, Kind | `${Kind}?`>>;

const RULES: Readonly<Record<Kind, readonly [text: string, holds: (value: unknown) => boolean]>> = {
  string: ['a string', (value) => typeof value === 'string'],
  number: ['a number', (value) => typeof value === 'number'],
  flag: ['true or false', (value) => typeof value === 'boolean'],
  function: ['a function', (value) => typeof value === 'function'],
  record: ['an object', (value) => typeof value === 'object' && value !== null],
  list: [
    'a list',
    (value) =>
      typeof value === 'object' && value !== null && typeof Reflect.get(value, 'length') === 'number',
  ],
  signal: [
    'an AbortSignal',
    (value) =>
      typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value,
  ],
  any: ['given', (value) => value !== undefined],
};

/** @param what stands for the value in the message: 'The tensor'. @throws ConfigError for a value of another kind. */
export function requireGiven(what: string, value: unknown, kind: Kind): void {
  const [text, holds] = RULES[kind];
  if (!holds(value)) throw new ConfigError(`${what} is ${quoted(value)}; it must be ${text}.`);
}

/** @throws ConfigError for what is no object, or a field that is missing or of another kind. */
export function requireFields(what: string, value: unknown, fields: Fields): void {
  requireGiven(what, value, 'record');
  for (const [name, rule] of Object.entries(fields)) {
    const field: unknown = Reflect.get(value as object, name);
    const optional = rule.endsWith('?');
    if (optional && field === undefined) continue;
    const kind = (optional ? rule.slice(0, -1) : rule) as Kind;
    const [text, holds] = RULES[kind];
    if (holds(field)) continue;
    if (field === undefined) throw new ConfigError(`${what} has no ${name}; it must be ${text}.`);
    throw new ConfigError(`${what} has ${name} ${quoted(field)}; it must be ${text}.`);
  }
}

const unknownIn = (value: object, names: readonly string[]): string | undefined =>
  Object.keys(value).find((name) => !names.includes(name));

/** @throws ConfigError for a field of a file that is none of these: one that was mistyped would do nothing. */
export function requireKnown(value: object, names: readonly string[], what: string): void {
  const unknown = unknownIn(value, names);
  if (unknown === undefined) return;
  throw new ConfigError(
    `${what} has ${quoted(unknown)}, which there is not${didYouMean(unknown, names)}. There are: ${names.join(', ')}.`,
  );
}

/** As `requireFields`, and a name that is none of them is refused: an option that was mistyped would do nothing. */
export function requireOptions(what: string, value: unknown, fields: Fields): void {
  requireFields(what, value, fields);
  const names = Object.keys(fields);
  const unknown = unknownIn(value as object, names);
  if (unknown === undefined) return;
  throw new ConfigError(
    `${what} cannot have ${quoted(unknown)}${didYouMean(unknown, names)}. There are: ${names.join(', ')}.`,
  );
}

/** Of an object that has more the named fields that are given. */
export function chosen<T extends object>(given: T, fields: Fields): T {
  const known = Object.entries(given).filter(([name, value]) => name in fields && value !== undefined);
  return Object.fromEntries(known) as T;
}

/** An open device, as `openGpu` gives it. @throws ConfigError for anything else. */
export function requireGpu(gpu: unknown): void {
  const known = typeof gpu === 'object' && gpu !== null && GPU_HAS.some((name) => name in gpu);
  if (!known) throw new ConfigError(`The gpu is ${quoted(gpu)}; it must be what openGpu gives.`);
}

const GPU_HAS = ['device', 'facts', 'limits', 'has', 'platform', 'kernelsFor', 'kernel'];

/** For callers of the API, who pass numbers. @throws ConfigError for one that is not whole, or beyond its bounds. */
export function requireInteger(
  name: string,
  value: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): void {
  if (!(Number.isSafeInteger(value) && value >= least && value <= most)) {
    throw new ConfigError(`${name} (${value}) must be a whole number, ${rangeText(least, most)}.`);
  }
}

/** '1 or more', 'from 1 to 8'. */
export function rangeText(least: number, most: number): string {
  return most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
}

/** A seed has 32 bits; more would be dropped in silence. */
export const MOST_SEED = 2 ** 32 - 1;

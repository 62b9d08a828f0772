/** Option values as users type them. */
import { InvalidArgumentError } from 'commander';
import { ConfigError } from '../core/errors.ts';

/** Options that every command has. */
export interface GlobalOptions {
  readonly adapter: string;
  readonly json?: boolean;
}

/** A parser for whole numbers from `least` to `most`. */
export function integer(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN;
    if (!(Number.isSafeInteger(value) && value >= least && value <= most)) {
      throw new InvalidArgumentError(`It must be a whole number, ${range}.`);
    }
    return value;
  };
}

/** A parser for numbers of at least `least`. */
export function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (!(Number.isFinite(value) && value >= least)) {
      throw new InvalidArgumentError(`It must be a number, ${least} or more.`);
    }
    return value;
  };
}

/** A parser for numbers of more than `bound`. */
export function moreThan(bound: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? NaN : Number(text);
    if (!(Number.isFinite(value) && value > bound)) {
      throw new InvalidArgumentError(`It must be a number of more than ${bound}.`);
    }
    return value;
  };
}

/** The same rules for callers of the API, who pass numbers. @throws ConfigError */
export function requireInteger(name: string, value: number, least: number): void {
  if (!(Number.isSafeInteger(value) && value >= least)) {
    throw new ConfigError(`${name} (${value}) must be a whole number, ${least} or more.`);
  }
}

/** Appends to a list: `--attr a=1 --attr b=2`. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

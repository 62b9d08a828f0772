/** Option values as users type them. */
import { InvalidArgumentError, type Command } from 'commander';
import { ConfigError } from '../core/errors.ts';
import { rangeText } from '../core/given.ts';

export { MOST_SEED, requireInteger } from '../core/given.ts';

/** Options that every command has. */
export interface GlobalOptions {
  readonly adapter: string;
  readonly json?: boolean;
}

/** A parser for whole numbers from `least` to `most`. */
export function integer(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const range = rangeText(least, most);
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

/** When a condition holds, options (by their field) that then do nothing, and why. */
type Idle = readonly [holds: boolean, options: readonly string[], because: string];

/** Whoever gives an option expects something of it. @throws ConfigError for one on the command line that does nothing. */
export function refuseIdle(command: Command, rules: readonly Idle[]): void {
  for (const [holds, fields, because] of rules) {
    const given = fields.find((field) => holds && command.getOptionValueSource(field) === 'cli');
    if (given === undefined) continue;
    const flag = command.options.find((option) => option.attributeName() === given)?.long ?? given;
    throw new ConfigError(`${flag} would do nothing: ${because}. Leave it out.`);
  }
}

/** Appends to a list: `--attr a=1 --attr b=2`. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

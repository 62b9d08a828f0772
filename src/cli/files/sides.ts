/** Files before and after a '--'. */
import type { Command } from 'commander';
import { ConfigError } from '../../core/errors.ts';

export type Sides = readonly [a: readonly string[], b: readonly string[]];

/**
 * The files of both sides, which commander gives as one list without the '--'; of two files without it each is a side.
 * @param between what the '--' stands between, and how the command is written, for the message.
 * @throws ConfigError when there is no '--' between more or fewer than two.
 */
export function sidesOf(
  files: readonly string[],
  command: Command,
  between: { readonly what: string; readonly usage: string },
): Sides {
  const { rawArgs } = (command.parent ?? command) as Command & { readonly rawArgs: readonly string[] };
  const after = rawArgs.includes('--') ? rawArgs.length - 1 - rawArgs.indexOf('--') : 0;
  if (after === 0 && files.length !== 2) {
    throw new ConfigError(
      `${command.name()} was given ${files.length} files and no "--" between ${between.what}. Write: ${between.usage}`,
    );
  }
  const first = files.length - (after === 0 ? 1 : after);
  return [files.slice(0, first), files.slice(first)];
}

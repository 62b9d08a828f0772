/** Files before and after a '--'. */
import type { Command } from 'commander';

export type Sides = readonly [a: readonly string[], b: readonly string[]];

/**
 * The files of both sides, which commander gives as one list without the '--'; of two files without it each is a side.
 * Undefined when there is no '--' between more or fewer than two.
 */
export function dealt(files: readonly string[], command: Command): Sides | undefined {
  const { rawArgs } = (command.parent ?? command) as Command & { readonly rawArgs: readonly string[] };
  const after = rawArgs.includes('--') ? rawArgs.length - 1 - rawArgs.indexOf('--') : 0;
  if (after === 0 && files.length !== 2) return undefined;
  const first = files.length - (after === 0 ? 1 : after);
  return [files.slice(0, first), files.slice(first)];
}

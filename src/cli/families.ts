/** Families of kernels as users name them: by the op that a user runs, or by the kernels that it asks for. */
import { ConfigError } from '../core/errors.ts';
import { didYouMean } from '../core/text/near-names.ts';
import { quoted } from '../core/text/quoted.ts';

/** The same kernels by the name of the op, and by the name under which they are chosen and tuned. */
const SAME: readonly (readonly [op: string, kernels: string])[] = [
  ['matmul', 'gemm'],
  ['moe', 'experts'],
];

/**
 * The name that a command has for a family, by either of its names: familyNamed('matmul', ['gemm']) = 'gemm'.
 * @throws ConfigError for an unknown name, with the nearest one and the list.
 */
export function familyNamed(given: string, families: readonly string[]): string {
  const name = given.replaceAll('_', '-');
  const others = SAME.filter((pair) => pair.includes(name)).flat();
  const found = [name, ...others].find((candidate) => families.includes(candidate));
  if (found !== undefined) return found;
  throw new ConfigError(
    `there is no kernel family ${quoted(given)}${didYouMean(name, families)}. Families: ${families.join(', ')}.`,
  );
}

/** Variants that round their operands before they multiply: what they may miss is told beside what f32 may. */

/** What operands are rounded to: both to f16, and perhaps sums of 16 terms too; or activations to int8, by row. */
export type Rounding = 'f16' | 'f16 sums' | 'int8';

/** By family and the variant's name. */
const ROUNDED: Readonly<Record<string, Rounding>> = {
  ...{ 'matmul/matrix-f16': 'f16', 'matmul/matrix-f16-128': 'f16' },
  ...{ 'matmul/f16': 'f16 sums', 'moe/f16': 'f16 sums' },
  ...{ 'matmul/int8': 'int8', 'moe/int8': 'int8' },
};

/** What a variant rounds its operands to; undefined for those that compute in f32, or as exactly. */
export function roundsTo(family: string, variant: string | undefined): Rounding | undefined {
  return variant === undefined ? undefined : ROUNDED[`${family}/${variant}`];
}

/** Whether a variant may be further from the exact result than the operation in f32. */
export function hasOwnBudget(family: string, variant: string): boolean {
  return roundsTo(family, variant) !== undefined;
}

/** Why such a variant is neither a default nor advised; undefined for the others. */
export function onlyWhenNamed(family: string, variant: string): string | undefined {
  const to = roundsTo(family, variant);
  if (to === undefined) return undefined;
  const how = to === 'f16 sums' ? 'it sums in f16' : `it rounds operands to ${to}`;
  return `${how} and has a budget of its own: taken only when named`;
}

/** Variants that round their operands before they multiply: what they may miss is told beside what f32 may. */

/** By the variant's name: operands in f16, by matrix units. */
const ROUNDED: Readonly<Record<string, 'f16'>> = { 'matrix-f16': 'f16', 'matrix-f16-128': 'f16' };

/** What a variant rounds its operands to; undefined for those that compute in f32, or as exactly. */
export function roundsTo(variant: string | undefined): 'f16' | undefined {
  return variant === undefined ? undefined : ROUNDED[variant];
}

/** Whether a variant may be further from the exact result than the operation in f32. */
export function hasOwnBudget(variant: string): boolean {
  return roundsTo(variant) !== undefined;
}

/** The parts of a mixture-of-experts layer, by the kernels that are dispatched for them. */
import { invariant } from '../../core/errors.ts';

/**
 * In the order in which they run: `gate` is the product that gives the logits; `dispatch` and `return` move rows between
 * ranks; `balancing` is the update of the bias.
 */
export const COST_PARTS = [
  'norm',
  'gate',
  'top-k',
  'capacity',
  'balancing',
  'plan',
  'dispatch',
  'experts',
  'return',
  'combine',
] as const;
export type CostPart = (typeof COST_PARTS)[number];

const BY_SHADER: readonly (readonly [RegExp, CostPart])[] = [
  [/^norm\//, 'norm'],
  [/^gemm\//, 'gate'],
  [/^gating\//, 'top-k'],
  [/^routing\/admit/, 'capacity'],
  [/^routing\/bias-update/, 'balancing'],
  [/^routing\/gather-rows/, 'dispatch'],
  [/^routing\/combine/, 'combine'],
  [/^routing\//, 'plan'],
  [/^collectives\/all-gather/, 'plan'],
  [/^experts\//, 'experts'],
];

/** @param shader as its path below shaders/. @param isBehindExperts whether rows come back. */
export function partOf(shader: string, isBehindExperts: boolean): CostPart {
  if (shader.startsWith('collectives/exchange-rows')) return isBehindExperts ? 'return' : 'dispatch';
  const found = BY_SHADER.find(([pattern]) => pattern.test(shader))?.[1];
  invariant(found !== undefined, () => `${shader} is of no part of a layer`);
  return found;
}

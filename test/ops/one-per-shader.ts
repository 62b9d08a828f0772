import { isFull } from '../setup/full.ts';

/**
 * Variants that differ in nothing but the size of their tiles compute alike at the ends of f32, and each takes seconds to
 * compile: outside of a full run one of them stands for the others.
 */
export function onePerShader(variants: readonly string[]): string[] {
  if (isFull) return [...variants];
  return variants.filter((name) => {
    const base = name.replace(/-(?:\d+|small)$/, '');
    return base === name || !variants.includes(base);
  });
}

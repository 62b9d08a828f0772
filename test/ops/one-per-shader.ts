import { isFull, isThorough } from '../setup/full.ts';

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

/** All of them in a thorough run; else every third, another third with each turn. */
export function someOf<T>(all: readonly T[], turn: number): T[] {
  return isThorough ? [...all] : all.filter((_, i) => (i + turn) % 3 === 0);
}

/** One registry of variants per kernel family: who can run, who is chosen, and why not. */
import { ConfigError } from '../core/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition, SpecChange } from '../gpu/kernel.ts';

export interface Variant<Shape, D extends KernelDefinition = KernelDefinition> {
  readonly name: string;
  /** What it does differently, one line for the reader of a table. */
  readonly idea: string;
  readonly kernel: D;
  /** What is compiled in for this shape on this adapter, apart from the defaults. */
  readonly spec: (shape: Shape, gpu: Gpu) => SpecChange<D['spec']>;
  /** Why this adapter cannot run this shape; undefined when it can. */
  readonly refusal: (shape: Shape, gpu: Gpu) => string | undefined;
}

/**
 * The named variant; else what the device's tuning advises; else the first that can run: variants are listed best first.
 * @throws ConfigError for an unknown name, or a variant that cannot run here (never swapped silently).
 */
export function chooseVariant<Shape, V extends Variant<Shape>>(
  family: string,
  variants: readonly V[],
  shape: Shape,
  gpu: Gpu,
  requested?: string,
): V {
  if (requested !== undefined) {
    const named = variants.find((v) => v.name === requested);
    if (named === undefined) {
      throw new ConfigError(
        `${family} has no variant "${requested}". It has: ${variants.map((v) => v.name).join(', ')}.`,
      );
    }
    const refusal = named.refusal(shape, gpu);
    if (refusal !== undefined) {
      const able = variants.filter((v) => v.refusal(shape, gpu) === undefined).map((v) => v.name);
      throw new ConfigError(
        `${family} variant "${requested}" cannot run here: ${refusal}. Able: ${able.join(', ') || 'none'}.`,
      );
    }
    return named;
  }
  const refused: { readonly name: string; readonly reason: string }[] = [];
  const able: V[] = [];
  for (const variant of variants) {
    const refusal = variant.refusal(shape, gpu);
    if (refusal === undefined) able.push(variant);
    else refused.push({ name: variant.name, reason: refusal });
  }
  const [first] = able;
  if (first !== undefined) {
    if (gpu.tuning === undefined || able.length === 1) return first;
    const candidates = able.map(({ name, kernel }) => ({ name, shader: kernel.shader }));
    const advised = gpu.tuning.choose({ family, shape: shape as object, able: candidates, refused });
    return able.find(({ name }) => name === advised) ?? first;
  }
  throw new ConfigError(
    `No variant of ${family} can run here. ${refused.map(({ name, reason }) => `${name}: ${reason}`).join('; ')}.`,
  );
}

/** The variants with the named one first, the others in their order. */
export function preferring<V extends { readonly name: string }>(variants: readonly V[], best: string): V[] {
  return [...variants].sort((a, b) => Number(b.name === best) - Number(a.name === best));
}

/** A grid of n workgroups whose x stays within 65,535 (the specification's least limit); shaders test the rest. */
export function spread(n: number): readonly [number, number, number] {
  if (n <= 65535) return [n, n === 0 ? 0 : 1, 1];
  const y = Math.ceil(n / 65535);
  return [Math.ceil(n / y), y, 1];
}

/** As `spread`, over x and z, for each of `ranks` rows of workgroups in y. */
export function spreadPerRank(n: number, ranks: number): readonly [number, number, number] {
  const [x, z] = spread(n);
  return [x, ranks, z];
}

/** Smallest power of two that is at least n and at least `least`. */
export function powerOfTwo(n: number, least = 1): number {
  let size = least;
  while (size < n) size *= 2;
  return size;
}

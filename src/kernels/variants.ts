/** One registry of variants per kernel family: who can run, who is chosen, and why not. */
import { ConfigError } from '../core/errors.ts';
import { requireGiven, requireGpu } from '../core/given.ts';
import { quoted } from '../core/text/quoted.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { KernelDefinition, SpecChange } from '../gpu/kernel.ts';
import { onlyWhenNamed } from './own-budget.ts';

/**
 * One way to compute a family's operation: its kernel, what is compiled into it for a shape, and where it cannot run.
 */
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

/** What users have added to the families of a device, in their order. */
const registered = new WeakMap<GPUDevice, Map<string, Variant<never>[]>>();

/** A user's variants of a family on this device: taken when named or advised, never by default. */
export function registeredVariants<V extends Variant<never>>(gpu: Gpu, family: string): readonly V[] {
  // Whoever registers makes them for the family.
  return (registered.get(gpu.device)?.get(family) ?? []) as unknown as readonly V[];
}

export function addVariant(gpu: Gpu, family: string, variant: Variant<never>): void {
  const families = registered.get(gpu.device) ?? new Map<string, Variant<never>[]>();
  registered.set(gpu.device, families.set(family, [...(families.get(family) ?? []), variant]));
}

export function removeVariant(gpu: Gpu, family: string, name: string): void {
  const families = registered.get(gpu.device);
  families?.set(
    family,
    (families.get(family) ?? []).filter((variant) => variant.name !== name),
  );
}

/** Names of those that can run a shape: the family's own in their order, then the user's. */
export function ableVariants<Shape>(
  family: string,
  variants: readonly Variant<Shape>[],
  shape: Shape,
  gpu: Gpu,
): string[] {
  const all = [...variants, ...registeredVariants<Variant<Shape>>(gpu, family)];
  return all.filter((variant) => variant.refusal(shape, gpu) === undefined).map(({ name }) => name);
}

/**
 * The named variant; else what the device's tuning advises; else the first that can run: variants are listed best first. One that a user has
 * registered is only taken when named or advised; one that rounds its operands only when named.
 * @throws ConfigError for an unknown name, or a variant that cannot run here (never swapped silently).
 */
export function chooseVariant<Shape, V extends Variant<Shape>>(
  family: string,
  variants: readonly V[],
  shape: Shape,
  gpu: Gpu,
  requested?: string,
): V {
  requireGiven('The variants', variants, 'list');
  requireGpu(gpu);
  const added = registeredVariants<V>(gpu, family);
  if (requested !== undefined) {
    const all = [...variants, ...added];
    const named = all.find((v) => v.name === requested);
    if (named === undefined) {
      throw new ConfigError(
        `${family} has no variant ${quoted(requested)}. It has: ${all.map((v) => v.name).join(', ')}.`,
      );
    }
    const refusal = named.refusal(shape, gpu);
    if (refusal !== undefined) {
      const able = ableVariants(family, variants, shape, gpu);
      throw new ConfigError(
        `${family} variant "${requested}" cannot run here: ${refusal}. Able: ${able.join(', ') || 'none'}.`,
      );
    }
    return named;
  }
  const refused: { readonly name: string; readonly reason: string }[] = [];
  const able: V[] = [];
  for (const variant of variants) {
    const refusal = variant.refusal(shape, gpu) ?? onlyWhenNamed(family, variant.name);
    if (refusal === undefined) able.push(variant);
    else refused.push({ name: variant.name, reason: refusal });
  }
  const [first] = able;
  for (const variant of added) {
    const refusal = variant.refusal(shape, gpu);
    if (refusal === undefined) able.push(variant);
    else refused.push({ name: variant.name, reason: refusal });
  }
  if (first !== undefined) {
    if (gpu.tuning === undefined || able.length === 1) return first;
    const candidates = able.map(({ name, kernel: { shader, text } }) => ({
      ...{ name, shader },
      ...(text !== undefined && { text }),
    }));
    const advised = gpu.tuning.choose({ family, shape: shape as object, able: candidates, refused });
    return able.find(({ name }) => name === advised) ?? first;
  }
  const reasons = refused.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  const named = able.length === 0 ? '' : ` Only when named: ${able.map(({ name }) => name).join(', ')}.`;
  throw new ConfigError(`No variant of ${family} can run here. ${reasons}.${named}`);
}

/** The variants with the named one first, the others in their order. */
export function preferring<V extends { readonly name: string }>(variants: readonly V[], best: string): V[] {
  requireGiven('The variants', variants, 'list');
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

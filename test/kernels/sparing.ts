/**
 * Which variants run which cases when not all shall. Compiling takes nearly all of the time, so a case that compiles
 * something new runs with a variant only if it shows that variant something new: every variant still meets every
 * trait that any of its cases has, or in a short run its share of them, and every trait one of the variants.
 * `plain`, which compiles at once, runs all of them.
 */
import type { Gpu } from '../../src/gpu/gpu.ts';
import { onlyWhenNamed } from '../../src/kernels/own-budget.ts';
import type { KernelCase } from '../../src/validate/kernel-case.ts';

const CHEAP = 'plain';

/** What kernels may be compiled for: dtypes, tensors that are not given, flags and choices. */
export function traitsOf({ op, inputs }: KernelCase): string[] {
  if (op === undefined || inputs === undefined) return [];
  const { tensors, attrs } = inputs();
  const given = [...tensors].map(([name, { dtype }]) => `${name} ${dtype}`);
  const missing = op.inputs.filter(({ name }) => !tensors.has(name)).map(({ name }) => `no ${name}`);
  const chosen = op.attrs
    .filter(({ kind }) => kind === 'flag' || kind === 'choice')
    .map(({ name }) => `${name} ${String(attrs.get(name))}`);
  return [...given, ...missing, ...chosen].sort();
}

/** So many cases that are compiled alike run with all variants anyway, and show them what they have. */
const MANY = 4;

/**
 * Which pairs of a variant and a trait are to be met: all, or each variant's share of the traits. What nobody is given unasked
 * then runs one case.
 */
export function pairsOf(gpu: Gpu, cases: readonly KernelCase[], isThorough: boolean): Set<string> {
  const sorted = (all: readonly string[]): string[] => [...new Set(all)].sort();
  const isTaken = ({ family }: KernelCase, variant: string): boolean =>
    isThorough || onlyWhenNamed(family, variant) === undefined;
  const variants = sorted(cases.flatMap((c) => c.variants(gpu).filter((variant) => isTaken(c, variant))));
  const traits = sorted(cases.flatMap(traitsOf));
  const share = isThorough ? 1 : variants.length;
  return new Set(
    variants.flatMap((variant, v) =>
      traits
        .filter((_, t) => variant === CHEAP || (v + t) % share === 0)
        .map((trait) => `${variant}: ${trait}`),
    ),
  );
}

/** Variants to run by case. Cases that are compiled alike choose first, then those with the most tensors. */
export function spare(
  gpu: Gpu,
  cases: readonly KernelCase[],
  pairs: ReadonlySet<string>,
): Map<KernelCase, string[]> {
  const met = new Set<string>();
  const plan = new Map<KernelCase, string[]>();
  const alike = new Map<string, number>();
  for (const c of cases) alike.set(traitsOf(c).join(), (alike.get(traitsOf(c).join()) ?? 0) + 1);
  const weightOf = (c: KernelCase): number =>
    ((alike.get(traitsOf(c).join()) ?? 0) >= MANY ? 100 : 0) + (c.inputs?.().tensors.size ?? 0);
  for (const kernelCase of [...cases].sort((a, b) => weightOf(b) - weightOf(a))) {
    const traits = traitsOf(kernelCase);
    const all = traits.join();
    const wanted = kernelCase.variants(gpu).filter((variant) => {
      const isCompiled = met.has(`${variant}: ${all}`);
      const isNew = traits
        .map((trait) => `${variant}: ${trait}`)
        .some((pair) => pairs.has(pair) && !met.has(pair));
      return isCompiled || isNew || variant === CHEAP;
    });
    for (const variant of wanted) {
      for (const shown of [...traits, all]) met.add(`${variant}: ${shown}`);
    }
    plan.set(kernelCase, wanted);
  }
  // Whoever has none of its share runs one case all the same.
  const idle = new Set(cases.flatMap((c) => c.variants(gpu)));
  for (const variants of plan.values()) for (const variant of variants) idle.delete(variant);
  for (const variant of idle) {
    const kernelCase = cases.find((c) => c.variants(gpu).includes(variant));
    if (kernelCase !== undefined) plan.get(kernelCase)?.push(variant);
  }
  return plan;
}

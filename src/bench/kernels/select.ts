/** Which kernels a bench is about: all of its list, or those that a user has named. */
import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { registeredVariants } from '../../kernels/variants.ts';
import { internalCases } from '../../validate/cases/internal.ts';
import { caseFamilies } from '../../validate/cases.ts';
import type { KernelCase } from '../../validate/kernel-case.ts';
import { benchCases, SCALES } from './bench-cases.ts';

export interface Selection {
  readonly families?: readonly string[];
  /** Each a variant ('tiled'), a family's ('matmul/tiled'), or a row's name or a part of it ('decode'). */
  readonly kernels?: readonly string[];
}

export interface SelectedRows {
  readonly cases: readonly KernelCase[];
  /** Whether a variant was named, so that more than the default ones are wanted. */
  readonly namesVariants: boolean;
  readonly isFamily: (kernelCase: KernelCase) => boolean;
  readonly wants: (kernelCase: KernelCase, variant: string) => boolean;
}

/** @throws ConfigError for a name that no family, row or variant has, and when nothing is left. */
export function rowsOf(gpu: Gpu, quick: boolean, { families = [], kernels = [] }: Selection): SelectedRows {
  for (const family of families) requireFamily(family);
  const all = [...benchCases(SCALES[gpu.facts.kind === 'gpu' ? 'gpu' : 'software']), ...internalCases];
  const ofFamily = all.filter(({ family }) => families.length === 0 || families.includes(family));
  const words = kernels.flatMap((text) => wordsOf(gpu, text, ofFamily));
  const inMode = ofFamily.filter((one) => one.quick || !quick || words.length > 0);
  // A word of a row's name is that; 'attention/decode' is the variant of that name.
  const namesRow = new Map(words.map((word) => [word, ofFamily.some((row) => isRow(word, row))]));
  const asks = (word: string, one: KernelCase, variant: string): boolean =>
    namesRow.get(word) === true ? isRow(word, one) : isVariant(word, one, variant);
  // Which variants can run is known from the inputs alone, which are made only where a name asks for it.
  const asksAny = (word: string, one: KernelCase): boolean =>
    namesRow.get(word) === true
      ? isRow(word, one)
      : (one.op === undefined || allVariants(gpu, one).some((variant) => isVariant(word, one, variant))) &&
        one.variants(gpu).some((variant) => isVariant(word, one, variant));
  const wants = (one: KernelCase, variant: string): boolean =>
    words.length === 0 || words.some((word) => asks(word, one, variant));
  const cases = inMode.filter((one) => words.length === 0 || words.some((word) => asksAny(word, one)));
  const lost = words.find((word) => !cases.some((one) => asksAny(word, one)));
  if (lost !== undefined || cases.length === 0) {
    throw new ConfigError(
      lost === undefined
        ? `no kernel of ${families.join(', ')} is timed with --quick. Leave --quick out.`
        : `kernel ${quoted(lost)} cannot run on ${gpu.facts.name}. Here can: ${variantNames(cases.length > 0 ? cases : inMode, gpu)}.`,
    );
  }
  const chosen = new Set(cases.map(({ family }) => family));
  return {
    cases,
    namesVariants: words.some((word) => !inMode.some((one) => isRow(word, one))),
    isFamily: ({ family }) =>
      chosen.has(family) || (words.length === 0 && (families.length === 0 || families.includes(family))),
    wants,
  };
}

/** @throws ConfigError */
export function requireFamily(family: string): void {
  if (caseFamilies.includes(family)) return;
  const near = didYouMean(family, caseFamilies);
  throw new ConfigError(
    `there is no kernel family ${quoted(family)}${near}. Families: ${caseFamilies.join(', ')}.`,
  );
}

/** Names of rows hold commas, so a list is cut only where the whole is no name. */
function wordsOf(gpu: Gpu, text: string, cases: readonly KernelCase[]): string[] {
  if (isKnown(gpu, text, cases)) return [text];
  const words = text.split(',').map((word) => word.trim());
  for (const word of words) {
    if (isKnown(gpu, word, cases)) continue;
    const variants = [...new Set(cases.flatMap((one) => allVariants(gpu, one)))];
    const rows = cases.filter(({ family }) => family !== 'internal').map(({ name }) => name);
    throw new ConfigError(
      `there is no kernel ${quoted(word)}. Variants: ${variants.join(', ')}. Rows, of which a part will do: ${rows.join('; ')}.`,
    );
  }
  return words;
}

function isKnown(gpu: Gpu, word: string, cases: readonly KernelCase[]): boolean {
  if (word === '') return false;
  return cases.some((one) => isRow(word, one) || allVariants(gpu, one).some((v) => isVariant(word, one, v)));
}

function isRow(word: string, { name }: KernelCase): boolean {
  return name.toLowerCase().includes(word.toLowerCase());
}

function isVariant(word: string, { family }: KernelCase, variant: string): boolean {
  const asked = word.toLowerCase();
  return asked === variant || asked === `${family}/${variant}`;
}

/** Those of the family, whether or not they can run here. */
function allVariants(gpu: Gpu, { op }: KernelCase): string[] {
  if (op === undefined) return [];
  return [...op.variants, ...registeredVariants(gpu, op.registry)].map(({ name }) => name);
}

function variantNames(cases: readonly KernelCase[], gpu: Gpu): string {
  return [...new Set(cases.flatMap((one) => one.variants(gpu)))].join(', ');
}

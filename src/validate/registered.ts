/**
 * Variants of the user's own, held against all that ours are: every case of their family that they can run, in strict
 * runs, and an examination for races.
 */
import { messageOf } from '../core/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { FAMILIES, type VariantFamily } from '../kernels/registered/interfaces.ts';
import type { OwnVariant } from '../kernels/registered/own-variant.ts';
import { registeredVariants } from '../kernels/variants.ts';
import { ops } from '../ops/ops.ts';
import type { KernelCase } from './kernel-case.ts';
import { examineVariant, type RaceReport } from './races/examine-variant.ts';
import { type CaseResult, runCase } from './run-case.ts';

export interface RegisteredReport {
  readonly family: VariantFamily;
  readonly variant: string;
  /** What messages call its WGSL. */
  readonly shader: string;
  readonly pass: boolean;
  /** One for each case that it ran, or could not run though it did not refuse it. */
  readonly results: readonly CaseResult[];
  /** Cases that it refuses. */
  readonly refused: number;
  /** Cases that were not tried, since two before them failed alike without a result. */
  readonly notRun: number;
  readonly races: readonly RaceReport[];
}

/** The ops whose kernels they are, by name. */
export function familiesOf(variants: readonly Pick<OwnVariant, 'family'>[]): string[] {
  return ops
    .filter(({ registry }) => variants.some(({ family }) => family === registry))
    .map(({ name }) => name);
}

/** Whether a variant of a case is none of ours. */
export function isRegistered({ op }: KernelCase, variant: string): boolean {
  return op !== undefined && !op.variants.some(({ name }) => name === variant);
}

/** Its runs, and as further ones that failed: races, and that it refuses everything. */
export function runsOf({ family, variant, shader, results, refused, races }: RegisteredReport): CaseResult[] {
  const failed = (name: string, message: string): CaseResult => ({
    ...{ family, name, variant, pass: false, comparisons: new Map(), worstShare: Infinity },
    message,
  });
  const racing = races.filter(({ state }) => state === 'races');
  return [
    ...results,
    ...racing.map(({ subject, message }) => failed(`${subject}, interpreted`, message)),
    ...(results.length > 0
      ? []
      : [failed('all cases', `${shader} was not checked: it refuses all ${refused} cases`)]),
  ];
}

/** A report as data that JSON can hold. */
export interface RegisteredFacts {
  readonly family: string;
  readonly variant: string;
  /** Where its WGSL came from. */
  readonly shader: string;
  readonly pass: boolean;
  /** Cases that it ran, that it refuses, and that were not tried since two before them failed alike. */
  readonly cases: number;
  readonly refused: number;
  readonly notRun: number;
  /** Of small cases that were interpreted, or why not. */
  readonly races: readonly RaceReport[];
}

export function factsOf(report: RegisteredReport): RegisteredFacts {
  const { family, variant, shader, pass, results, refused, notRun, races } = report;
  return { family, variant, shader, pass, cases: results.length, refused, notRun, races };
}

export interface RegisteredOptions {
  readonly say?: (text: string) => void;
}

/** A report for each variant that is registered on this device, if some of the given cases are of its family. */
export async function checkRegistered(
  gpu: Gpu,
  cases: readonly KernelCase[],
  { say = () => undefined }: RegisteredOptions = {},
): Promise<RegisteredReport[]> {
  const reports: RegisteredReport[] = [];
  for (const family of Object.keys(FAMILIES) as VariantFamily[]) {
    for (const { name, kernel } of registeredVariants(gpu, family)) {
      const own = cases.filter(({ op }) => op?.registry === family);
      if (own.length === 0) continue;
      reports.push(await checkOne(gpu, own, { family, variant: name, shader: kernel.shader }, say));
    }
  }
  return reports;
}

async function checkOne(
  gpu: Gpu,
  cases: readonly KernelCase[],
  who: Pick<RegisteredReport, 'family' | 'variant' | 'shader'>,
  say: (text: string) => void,
): Promise<RegisteredReport> {
  const { family, variant } = who;
  const able = cases.filter((one) => one.variants(gpu).includes(variant));
  const results: CaseResult[] = [];
  for (const one of able) {
    say(`${one.family}: ${one.name}, ${variant}`);
    results.push(await runCase(gpu, one, variant, { strict: true }));
    if (isHopeless(results)) break;
  }
  const notRun = able.length - results.length;
  let races: readonly RaceReport[] = [];
  if (notRun === 0 && able.length > 0) {
    say(`${family}: races of ${variant}`);
    races = await examined(gpu, family, variant);
  }
  const isRight = results.length > 0 && results.every(({ pass }) => pass);
  return {
    ...who,
    pass: isRight && notRun === 0 && races.every(({ state }) => state !== 'races'),
    ...{ results, refused: cases.length - able.length, notRun, races },
  };
}

/** What does not compile for two cases does not compile for the next. */
function isHopeless(results: readonly CaseResult[]): boolean {
  const [before, last] = results.filter(({ pass }) => !pass).slice(-2);
  return last?.comparisons.size === 0 && before?.message === last.message;
}

async function examined(gpu: Gpu, family: VariantFamily, variant: string): Promise<readonly RaceReport[]> {
  try {
    const reports = await examineVariant(gpu, family, variant);
    if (reports.length > 0) return reports;
    return [
      { subject: family, state: 'unknown', message: 'it refuses the small cases that are interpreted' },
    ];
  } catch (error) {
    gpu.requireUsable();
    return [{ subject: family, state: 'unknown', message: messageOf(error) }];
  }
}

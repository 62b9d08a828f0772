/** Random cases of an op with all its variants. A failing one names its seed and the command that repeats it. */
import type { Gpu } from '../../gpu/gpu.ts';
import type { Op } from '../../ops/op.ts';
import { drawCase } from './draw-case.ts';
import type { KernelCase } from '../kernel-case.ts';
import { isRegistered } from '../registered.ts';
import { runCases, type CaseResult } from '../run-case.ts';

export interface FuzzReport {
  readonly family: string;
  readonly seed: number;
  readonly cases: number;
  /** Cases times the variants that could run them. */
  readonly runs: number;
  /** Runs of each variant. */
  readonly byVariant: Readonly<Record<string, number>>;
  /** Largest error as a share of what arithmetic allows. */
  readonly worstShare: number;
  readonly failures: readonly FuzzFailure[];
}

export interface FuzzFailure {
  /** Of this case alone. */
  readonly seed: number;
  readonly name: string;
  readonly variant: string;
  readonly message: string;
  /** What to type to see it again. */
  readonly command: string;
}

export interface FuzzOptions {
  readonly cases: number;
  /** Case i is drawn from seed + i. */
  readonly seed: number;
  /** Only the user's own variants, in strict runs, of these modules. */
  readonly with?: readonly string[];
  /** Whether a variant runs; all do when absent. */
  readonly wants?: (kernelCase: KernelCase, variant: string) => boolean;
  readonly say?: (text: string) => void;
}

export async function fuzzOp(gpu: Gpu, op: Op, options: FuzzOptions): Promise<FuzzReport> {
  const { cases, seed, wants, say = () => undefined, with: modules = [] } = options;
  const own = modules.length > 0 ? { wants: isRegistered, strict: true } : wants ? { wants } : {};
  const byVariant: Record<string, number> = {};
  const failures: FuzzFailure[] = [];
  let runs = 0;
  let worstShare = 0;
  for (let i = 0; i < cases; i++) {
    const drawn = drawCase(op, seed + i);
    say(`${op.name} ${i + 1} of ${cases}`);
    const results = await runCases(gpu, [drawn], undefined, own);
    runs += results.length;
    for (const result of results) {
      byVariant[result.variant] = (byVariant[result.variant] ?? 0) + 1;
      worstShare = Math.max(worstShare, result.worstShare);
      if (!result.pass) failures.push(failureOf(gpu, seed + i, result, modules));
    }
  }
  return { family: op.name, seed, cases, runs, byVariant, worstShare, failures };
}

function failureOf(
  gpu: Gpu,
  seed: number,
  { family, name, variant, message }: CaseResult,
  modules: readonly string[],
): FuzzFailure {
  const adapter = (gpu.facts.name.match(/[A-Za-z]+/) ?? ['auto'])[0];
  const command = `moebius validate --fuzz 1 --seed ${seed} --family ${family} --adapter ${adapter}${modules.map((path) => ` --with ${path}`).join('')}`;
  return { seed, name, variant, message, command };
}

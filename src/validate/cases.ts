/** All kernel cases, family by family. */
import { attentionCases, tpAttentionCases } from './cases/attention.ts';
import { matmulCases, normCases, ropeCases } from './cases/dense.ts';
import { gatingCases } from './cases/gating.ts';
import { internalCases } from './cases/internal.ts';
import { moeCases } from './cases/moe.ts';
import { pagedAttentionCases } from './cases/paged-attention.ts';
import type { KernelCase } from './kernel-case.ts';

/** The fixed cases that every kernel is checked on: each with its inputs and its float64 reference. */
export const kernelCases: readonly KernelCase[] = [
  ...gatingCases,
  ...moeCases,
  ...attentionCases,
  ...pagedAttentionCases,
  ...tpAttentionCases,
  ...normCases,
  ...ropeCases,
  ...matmulCases,
  ...internalCases,
];

/** Those that together take seconds on a software adapter. */
export const quickCases: readonly KernelCase[] = kernelCases.filter((c) => c.quick);

export const caseFamilies: readonly string[] = [...new Set(kernelCases.map((c) => c.family))];

export function casesOf(family: string): readonly KernelCase[] {
  return kernelCases.filter((c) => c.family === family);
}

/**
 * A check that never fails proves nothing. Each saboteur is a kernel of ours with one fault worked into its text;
 * the self-test runs a case with it, and the check must refuse the result.
 */
import { invariant } from '../core/errors.ts';
import { openGpu } from '../gpu/gpu.ts';
import type { Platform } from '../platform/platform.ts';
import { kernelCases } from './cases.ts';
import type { KernelCase } from './kernel-case.ts';
import { runCase } from './run-case.ts';
import { admissionSaboteurs } from './saboteurs/admission.ts';
import { attentionSaboteurs } from './saboteurs/attention.ts';
import { denseSaboteurs } from './saboteurs/dense.ts';
import { gatingSaboteurs } from './saboteurs/gating.ts';
import { moeSaboteurs } from './saboteurs/moe.ts';
import { planSaboteurs } from './saboteurs/plans.ts';
import type { Saboteur } from './saboteurs/saboteur.ts';

export const saboteurs: readonly Saboteur[] = [
  ...denseSaboteurs,
  ...moeSaboteurs,
  ...gatingSaboteurs,
  ...planSaboteurs,
  ...admissionSaboteurs,
  ...attentionSaboteurs,
];

/** The platform with the saboteur's text in place of its shader. */
export function sabotaged(platform: Platform, saboteur: Saboteur): Platform {
  const file = `${saboteur.shader}.wgsl`;
  const source = platform.shaderSource(file);
  const places = source.split(saboteur.find).length - 1;
  invariant(places === 1, () => `${file} has "${saboteur.find}" ${places} times; a saboteur needs it once`);
  return {
    name: platform.name,
    kernelKind: saboteur.kernelKind ?? platform.kernelKind,
    openAdapter: (choice) => platform.openAdapter(choice),
    shaderSource: (path) =>
      path === file ? source.replace(saboteur.find, () => saboteur.replace) : platform.shaderSource(path),
    shaderPaths: () => platform.shaderPaths(),
    readFile: (path) => platform.readFile(path),
    deviceClosed: () => platform.deviceClosed?.(),
    now: () => platform.now(),
  };
}

export interface SabotageResult {
  readonly saboteur: Saboteur;
  readonly caught: boolean;
  /** What the check said of it. */
  readonly message: string;
}

/** Runs the case of one saboteur. Only a comparison that fails counts, not a shader that does not compile. */
export async function runSaboteur(
  platform: Platform,
  saboteur: Saboteur,
  adapter = 'auto',
): Promise<SabotageResult> {
  const gpu = await openGpu(sabotaged(platform, saboteur), adapter);
  try {
    const result = await runCase(gpu, caseOf(saboteur), saboteur.variant);
    const compared = result.comparisons.size > 0;
    return { saboteur, caught: !result.pass && compared, message: result.message };
  } finally {
    gpu.destroy();
  }
}

/** The case that must catch a saboteur. */
export function caseOf({ name, family, caseName }: Saboteur): KernelCase {
  const found = kernelCases.find((c) => c.family === family && c.name === caseName);
  invariant(
    found !== undefined,
    () => `saboteur "${name}" wants the case ${family}/${caseName}, which is not there`,
  );
  return found;
}

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

export interface Saboteur {
  /** The fault, in words. */
  readonly name: string;
  /** Path of the shader below `shaders/`, without its ending: only the kernel that owns a shader names its file. */
  readonly shader: string;
  /** Part of the shader's text, found once, and what takes its place. */
  readonly find: string;
  readonly replace: string;
  /** The case that must catch it. */
  readonly family: string;
  readonly caseName: string;
  readonly variant: string;
}

const gemm = {
  shader: 'gemm/plain',
  family: 'matmul',
  caseName: 'primes',
  variant: 'plain',
} as const;
const gating = { shader: 'gating/topk-thread', family: 'gate-topk', variant: 'thread' } as const;
const plan = { family: 'internal', variant: 'default' } as const;
const storeGemm = 'c_MN[m * params.numCols + n] = total;';

export const saboteurs: readonly Saboteur[] = [
  {
    ...gemm,
    name: 'writes nothing',
    find: storeGemm,
    replace: 'if (params.numCols == 0u) { c_MN[0] = total; }',
  },
  {
    ...gemm,
    name: 'writes NaN',
    find: storeGemm,
    replace: 'c_MN[m * params.numCols + n] = bitcast<f32>(params.numCols | 0x7fc00000u);',
  },
  {
    ...gemm,
    name: 'keeps what an earlier run wrote',
    find: storeGemm,
    replace: 'if (c_MN[m * params.numCols + n] == 0.0) { c_MN[m * params.numCols + n] = total; }',
  },
  { ...gemm, name: 'leaves out the last term', find: 'k < params.depth', replace: 'k + 1u < params.depth' },
  {
    ...gemm,
    name: 'leaves out the last column',
    find: 'n >= params.numCols',
    replace: 'n + 1u >= params.numCols',
  },
  {
    ...plan,
    name: 'permutes rows off by one',
    shader: 'routing/plan-small',
    find: 'rowToken_R[slot] = (first + lane) / params.topK;',
    replace: 'rowToken_R[slot] = (first + lane + 1u) / params.topK;',
    caseName: 'route plan',
  },
  {
    ...plan,
    name: 'permutes a block off by one',
    shader: 'routing/scatter',
    find: 'rowToken_R[slot] = (first + lane) / params.topK;',
    replace: 'rowToken_R[slot] = (first + lane + 1u) / params.topK;',
    caseName: 'route plan, 300 experts',
  },
  {
    ...plan,
    name: 'never moves on to the next row',
    shader: 'routing/plan-local',
    find: 'next[e] += same;',
    replace: 'next[e] += 0u;',
    caseName: 'local plan',
  },
  {
    ...plan,
    name: 'does not count a tile that is not full',
    shader: 'routing/scan-tiles',
    find: 'rows + params.tileRows - 1u',
    replace: 'rows',
    caseName: 'local plan, three dispatches',
  },
  {
    name: 'never lists the last tile',
    shader: 'routing/receive-plan',
    find: 'numTiles += (count + params.tileRows - 1u) / params.tileRows;',
    replace: 'numTiles += count / params.tileRows;',
    ...{ family: 'moe', caseName: 'primes', variant: 'plain' },
  },
  {
    name: 'multiplies with the next expert',
    shader: 'experts/plain',
    find: 'let rowW = (tile.x * params.numCols + n) * params.depth;',
    replace: 'let rowW = ((tile.x ^ 1u) * params.numCols + n) * params.depth;',
    ...{ family: 'moe', caseName: 'all biases', variant: 'plain' },
  },
  {
    name: 'forgets the bias',
    shader: 'experts/plain',
    find: 'epilogue(gate + biasGate, up + biasUp)',
    replace: 'epilogue(gate + 0.0 * biasGate, up + biasUp)',
    ...{ family: 'moe', caseName: 'all biases', variant: 'plain' },
  },
  {
    name: 'ignores the scores',
    shader: 'routing/combine',
    find: 'scores_TK[t * params.topK + k] * expertOut_RD',
    replace: 'min(scores_TK[t * params.topK + k], 0.5) * expertOut_RD',
    ...{ family: 'moe', caseName: 'primes', variant: 'plain' },
  },
  {
    ...gating,
    name: 'gives ties to the higher expert',
    find: 'let over0 = vec4<i32>(key) > old.key0;',
    replace: 'let over0 = vec4<i32>(key) >= old.key0;',
    caseName: 'equal logits',
  },
  {
    ...gating,
    name: 'normalises over the chosen only',
    find: 'if (params.renormalize == 1u)',
    replace: 'if (params.renormalize <= 1u)',
    caseName: 'primes',
  },
  {
    ...gating,
    name: 'chooses without the bias',
    find: 'value += bias_E[e];',
    replace: 'value += 0.0 * bias_E[e];',
    caseName: 'sigmoid with a bias',
  },
  {
    ...gating,
    name: 'weighs with the bias',
    find: 'scores.x = scoreOf(logits_TE[first + ids.x], row);',
    replace: 'scores.x = scoreOf(logits_TE[first + ids.x], row) + bias_E[ids.x];',
    caseName: 'sigmoid with a bias',
  },
  {
    ...gating,
    name: 'keeps all groups',
    find: '((kept >> (e / size)) & 1u) == 1u',
    replace: '((kept >> (e / size)) & 1u) <= 1u',
    caseName: 'groups by two sigmoids',
  },
  {
    name: 'ranks groups by their best only',
    shader: 'gating/topk-workgroup',
    find: 'TOP2 && second > MASKED',
    replace: 'TOP2 && second == FIRST',
    ...{ family: 'gate-topk', caseName: 'groups by two sigmoids', variant: 'workgroup' },
  },
  {
    name: 'chooses an expert again',
    shader: 'gating/topk-workgroup',
    find: 'keys[own] = EMPTY;',
    replace: 'keys[own] += 0;',
    ...{ family: 'gate-topk', caseName: 'primes', variant: 'workgroup' },
  },
  {
    name: 'leaves out the last columns of the gate',
    shader: 'gating/router-topk',
    find: 'k < depth4; k += PARTS',
    replace: 'k + 1u < depth4; k += PARTS',
    ...{ family: 'internal', caseName: 'router with its top-k', variant: 'default' },
  },
  {
    name: 'sees one key too many',
    shader: 'attention/plain',
    find: 'numKeys = sequence.z - sequence.y + i + 1u;',
    replace: 'numKeys = min(sequence.z, sequence.z - sequence.y + i + 2u);',
    ...{ family: 'attention', caseName: 'primes', variant: 'plain' },
  },
  {
    name: 'reads the first key/value head for all',
    shader: 'attention/decode',
    find: 'let kvHead = h / (params.numHeads / params.numKvHeads);',
    replace: 'let kvHead = 0u * h;',
    ...{ family: 'attention', caseName: 'decode with a cache', variant: 'decode' },
  },
  {
    name: 'leaves out the last rank',
    shader: 'collectives/all-reduce',
    find: 'm < own.y',
    replace: 'm + 1u < own.y',
    ...{ family: 'tp-attention', caseName: 'two ranks', variant: 'plain' },
  },
  {
    name: 'turns the wrong way',
    shader: 'attention/rope',
    find: 'a * turn.x - b * turn.y',
    replace: 'a * turn.x + b * turn.y',
    ...{ family: 'rope', caseName: 'halves', variant: 'default' },
  },
  {
    name: 'divides by one column too many',
    shader: 'norm/rms-norm',
    find: 'f32(params.width)',
    replace: 'f32(params.width + 1u)',
    ...{ family: 'rms-norm', caseName: 'primes', variant: 'default' },
  },
];

/** The platform with the saboteur's text in place of its shader. */
export function sabotaged(platform: Platform, saboteur: Saboteur): Platform {
  const file = `${saboteur.shader}.wgsl`;
  const source = platform.shaderSource(file);
  const places = source.split(saboteur.find).length - 1;
  invariant(places === 1, () => `${file} has "${saboteur.find}" ${places} times; a saboteur needs it once`);
  return {
    name: platform.name,
    openAdapter: (choice) => platform.openAdapter(choice),
    shaderSource: (path) =>
      path === file ? source.replace(saboteur.find, () => saboteur.replace) : platform.shaderSource(path),
    shaderPaths: () => platform.shaderPaths(),
    readFile: (path) => platform.readFile(path),
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

function caseOf({ name, family, caseName }: Saboteur): KernelCase {
  const found = kernelCases.find((c) => c.family === family && c.name === caseName);
  invariant(
    found !== undefined,
    () => `saboteur "${name}" wants the case ${family}/${caseName}, which is not there`,
  );
  return found;
}

/** Runs kernel cases against their reference, so that a kernel which writes nothing, or old results, cannot pass. */
import { inPieces, piecesOf } from '../core/async/pieces.ts';
import { maxOf } from '../core/math.ts';
import { messageOf } from '../core/errors.ts';
import { requireFields, requireGiven, requireGpu } from '../core/given.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { guardOf, withGuards } from '../ops/guards.ts';
import type { Expected, PreparedOp } from '../ops/op.ts';
import { type Comparison, compare, describe } from '../tensor/compare.ts';
import { type Tensor, toF64 } from '../tensor/tensor.ts';
import type { KernelCase } from './kernel-case.ts';

/** What came of one variant on one case. */
export interface CaseResult {
  readonly family: string;
  readonly name: string;
  readonly variant: string;
  readonly pass: boolean;
  /** By output. Empty when the case did not run. */
  readonly comparisons: ReadonlyMap<string, Comparison>;
  /** Largest error as a share of its budget, over all outputs. */
  readonly worstShare: number;
  /** One line: the worst element of each output, or why the case did not run. */
  readonly message: string;
}

/**
 * Quiet NaNs that no kernel computes, and as integers no index, count or id of any case. One for each run: every bit
 * that a NaN leaves free has both its values in the first two. What NaN may not show, since a maximum drops it, numbers at
 * either end of f32 do.
 */
const POISONS = [0x7fc0dead, 0xffff2152, 0x7f7f5555, 0xff7faaaa] as const;

export interface CaseOptions {
  /** Of a kernel that nobody vouches for: more runs, and memory behind its outputs that must stay as it is. */
  readonly strict?: boolean;
}

/**
 * Runs one case with one variant twice, or four times when strict. Everything that kernels write is filled with poison
 * before each run, each time with another; the first run must agree with the reference and all must give the same bits.
 * @throws CancelledError when it was called off. @throws DeviceError when the device is lost or closed.
 */
export async function runCase(
  gpu: Gpu,
  kernelCase: KernelCase,
  variant?: string,
  { strict = false }: CaseOptions = {},
): Promise<CaseResult> {
  requireGpu(gpu);
  requireFields('The case', kernelCase, { family: 'string', name: 'string' });
  const { family, name } = kernelCase;
  const failed = (message: string, ran = variant ?? 'default'): CaseResult => ({
    ...{ family, name, variant: ran, pass: false, comparisons: new Map() },
    worstShare: Infinity,
    message,
  });
  let prepared: PreparedOp | undefined;
  try {
    const prepare = (): Promise<PreparedOp> => kernelCase.prepare(gpu, variant);
    prepared = await (strict ? withGuards(gpu, prepare) : prepare());
    const first = await runPoisoned(gpu, prepared, `${family} ${name}`, POISONS[0]);
    const expected = await inPieces(piecesOf(kernelCase.reference, prepared.variant), gpu.signal);
    const result = check(kernelCase, prepared.variant, first, expected);
    if (!result.pass) return result;
    for (const [i, poison] of POISONS.slice(0, strict ? POISONS.length : 2).entries()) {
      if (i > 0) {
        const again = await runPoisoned(gpu, prepared, `${family} ${name} again`, poison);
        const changed = firstDifference(first, again);
        if (changed !== undefined) {
          return failed(`${changed} has other bits on the ${AGAIN[i - 1] ?? 'next'} run`, prepared.variant);
        }
      }
      // After each run: NaN that was computed from NaN may be the same one.
      const stray = await strayWrite(gpu, prepared, poison);
      if (stray !== undefined) return failed(stray, prepared.variant);
    }
    return result;
  } catch (error) {
    // A device that is gone, or work that was called off, says nothing of the kernel.
    gpu.requireUsable();
    return failed(messageOf(error), prepared?.variant);
  } finally {
    prepared?.destroy();
  }
}

/** All cases with all their variants that are wanted, in order. `onResult` is told of each as it ends. */
export async function runCases(
  gpu: Gpu,
  cases: readonly KernelCase[],
  onResult: (result: CaseResult) => void = () => undefined,
  {
    wants = () => true,
    ...options
  }: CaseOptions & { readonly wants?: (one: KernelCase, variant: string) => boolean } = {},
): Promise<CaseResult[]> {
  requireGpu(gpu);
  requireGiven('The cases', cases, 'list');
  const results: CaseResult[] = [];
  for (const kernelCase of cases) {
    for (const variant of kernelCase.variants(gpu)) {
      if (!wants(kernelCase, variant)) continue;
      const result = await runCase(gpu, kernelCase, variant, options);
      results.push(result);
      onResult(result);
    }
  }
  return results;
}

const AGAIN = ['second', 'third', 'fourth'];

async function runPoisoned(
  gpu: Gpu,
  prepared: PreparedOp,
  label: string,
  poison: number,
): Promise<Map<string, Tensor>> {
  for (const buffer of prepared.written) {
    gpu.write(buffer, new Uint32Array(buffer.byteLength / 4).fill(poison));
  }
  const commands = gpu.commands(label);
  prepared.record(commands);
  commands.submit();
  return prepared.read();
}

function check(
  kernelCase: KernelCase,
  variant: string,
  got: ReadonlyMap<string, Tensor>,
  expected: ReadonlyMap<string, Expected>,
): CaseResult {
  const comparisons = new Map<string, Comparison>();
  const lines: string[] = [];
  for (const [output, { values, shape, budget }] of expected) {
    const tensor = got.get(output);
    const comparison = compare(tensor === undefined ? [] : toF64(tensor), values, shape, budget);
    comparisons.set(output, comparison);
    lines.push(describe(output, comparison));
  }
  return {
    family: kernelCase.family,
    name: kernelCase.name,
    variant,
    pass: [...comparisons.values()].every((c) => c.pass),
    comparisons,
    worstShare: maxOf(
      [...comparisons.values()].map((c) => c.worstShare),
      0,
    ),
    message: lines.join('; '),
  };
}

/** What a kernel wrote behind what it was given, if anything. */
async function strayWrite(gpu: Gpu, { written }: PreparedOp, poison: number): Promise<string | undefined> {
  for (const buffer of written) {
    const guard = guardOf(buffer);
    if (guard === undefined) continue;
    const words = await gpu.read(guard, [guard.byteLength / 4], 'u32');
    const first = words.data.findIndex((word) => word !== poison);
    if (first < 0) continue;
    return `${buffer.label.replace(/^op\//, '')} is written beyond its end: ${first + 1} elements behind the last`;
  }
  return undefined;
}

function firstDifference(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): string | undefined {
  for (const [name, { data }] of a) {
    const other = b.get(name)?.data;
    const bits = bitsOf(data);
    const otherBits = bitsOf(other ?? new Uint32Array(0));
    if (bits.length !== otherBits.length || bits.some((byte, i) => byte !== otherBits[i])) return name;
  }
  return undefined;
}

function bitsOf(data: Tensor['data']): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Runs kernel cases against their reference, so that a kernel which writes nothing, or old results, cannot pass. */
import { maxOf } from '../core/math.ts';
import { messageOf } from '../core/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { PreparedOp } from '../ops/op.ts';
import { type Comparison, compare, describe } from '../tensor/compare.ts';
import { type Tensor, toF64 } from '../tensor/tensor.ts';
import type { KernelCase } from './kernel-case.ts';

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

/** A quiet NaN that no kernel computes, and as an integer no index, count or id of any case. */
const POISON = 0x7fc0dead;

/**
 * Runs one case with one variant twice. Everything that kernels write is filled with poison before each run; the
 * first run must agree with the reference and the second must give the same bits.
 */
export async function runCase(gpu: Gpu, kernelCase: KernelCase, variant?: string): Promise<CaseResult> {
  const { family, name } = kernelCase;
  const failed = (message: string, ran = variant ?? 'default'): CaseResult => ({
    ...{ family, name, variant: ran, pass: false, comparisons: new Map() },
    worstShare: Infinity,
    message,
  });
  let prepared: PreparedOp | undefined;
  try {
    prepared = await kernelCase.prepare(gpu, variant);
    const first = await runPoisoned(gpu, prepared, `${family} ${name}`);
    const result = check(kernelCase, prepared.variant, first);
    if (!result.pass) return result;
    const changed = firstDifference(first, await runPoisoned(gpu, prepared, `${family} ${name} again`));
    if (changed === undefined) return result;
    return failed(`${changed} has other bits on the second run`, prepared.variant);
  } catch (error) {
    return failed(messageOf(error), prepared?.variant);
  } finally {
    prepared?.destroy();
  }
}

/** All cases with all their variants, in order. `onResult` is told of each as it ends. */
export async function runCases(
  gpu: Gpu,
  cases: readonly KernelCase[],
  onResult: (result: CaseResult) => void = () => undefined,
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const kernelCase of cases) {
    for (const variant of kernelCase.variants(gpu)) {
      const result = await runCase(gpu, kernelCase, variant);
      results.push(result);
      onResult(result);
    }
  }
  return results;
}

async function runPoisoned(gpu: Gpu, prepared: PreparedOp, label: string): Promise<Map<string, Tensor>> {
  for (const buffer of prepared.written) {
    gpu.write(buffer, new Uint32Array(buffer.byteLength / 4).fill(POISON));
  }
  const commands = gpu.commands(label);
  prepared.record(commands);
  commands.submit();
  return prepared.read();
}

function check(kernelCase: KernelCase, variant: string, got: ReadonlyMap<string, Tensor>): CaseResult {
  const comparisons = new Map<string, Comparison>();
  const lines: string[] = [];
  for (const [output, { values, shape, budget }] of kernelCase.reference()) {
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

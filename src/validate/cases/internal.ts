/** Kernels that no op exposes alone, against plain code. Data moves exactly, so their comparisons are exact. */
import type { Gpu } from '../../gpu/gpu.ts';
import { EXACT } from '../../ops/budgets.ts';
import type { Cost, Expected } from '../../ops/op.ts';
import { withBuffers } from '../../ops/op-buffers.ts';
import { once } from '../../core/async/once.ts';
import type { KernelCase } from '../kernel-case.ts';
import { maker } from '../draw/maker.ts';
import type { Internal, InternalCase } from './internal-case.ts';
import { admitCases } from './internal-admit-cases.ts';
import { collectiveCases } from './internal-collectives.ts';
import { expertCases } from './internal-experts.ts';
import { normCases } from './internal-norms.ts';
import { planCases } from './internal-plans.ts';
import { rowCases } from './internal-rows.ts';

function internalCase(name: string, build: InternalCase): KernelCase {
  const made = once(() => build(maker(`internal/${name}`)));
  return {
    family: 'internal',
    name,
    quick: true,
    variants: () => ['default'],
    prepare: (gpu: Gpu) =>
      withBuffers(gpu, async (space) => space.prepared('default', await made().prepare(space))),
    reference: once(() => expectedOf(made())),
    cost: (): Cost => ({ flops: 0, bytes: made().bytes }),
  };
}

function expectedOf({ expected }: Internal): ReadonlyMap<string, Expected> {
  return new Map(
    Object.entries(expected).map(([name, { values, shape, budget = EXACT }]) => [
      name,
      { values: Float64Array.from(values), shape, budget },
    ]),
  );
}

export const internalCases: readonly KernelCase[] = Object.entries({
  ...planCases,
  ...admitCases,
  ...rowCases,
  ...expertCases,
  ...normCases,
  ...collectiveCases,
}).map(([name, build]) => internalCase(name, build));

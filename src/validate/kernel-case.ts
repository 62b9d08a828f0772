/**
 * A kernel case: seeded inputs, every variant that can compute it, the float64 truth with its budget, and its cost.
 * One object serves the check and the bench, so nothing is timed on inputs that were not checked.
 */
import { inPieces, oncePiecewise, type Piecewise, piecesOf, piecewise } from '../core/async/pieces.ts';
import { hasOwnBudget } from '../kernels/own-budget.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { inputsOf } from '../ops/ops.ts';
import type { AttrValue, Cost, Expected, Op, OpInputs, PreparedOp } from '../ops/op.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Maker, maker } from './draw/maker.ts';

export interface KernelCase {
  /** An op's name, or `internal` for kernels that no op exposes alone. */
  readonly family: string;
  readonly name: string;
  /** In the subset that runs within seconds. */
  readonly quick: boolean;
  /** Present when the case is an op's. */
  readonly op?: Op;
  readonly inputs?: () => OpInputs;
  /** Variants that can run here; never empty. */
  variants(gpu: Gpu): string[];
  prepare(gpu: Gpu, variant?: string): Promise<PreparedOp>;
  /** In one call, or in pieces where it has them, of the variant that computed: one may have a budget of its own. */
  readonly reference: Reference | ((variant?: string) => ReadonlyMap<string, Expected>);
  cost(): Cost;
}

type Reference = Piecewise<[variant?: string], ReadonlyMap<string, Expected>>;

type Tensors = Readonly<Record<string, Tensor>>;

export interface OpCase {
  /** Large ones in pieces: a run that is called off is not kept waiting for them. */
  readonly tensors: ((make: Maker) => Tensors) | Piecewise<[make: Maker], Tensors>;
  readonly attrs?: Readonly<Record<string, AttrValue>>;
  readonly quick?: boolean;
}

/**
 * What an op should give for inputs that are made when they are first asked for; kept, once for each variant that has a
 * budget of its own and once for all others.
 */
export function referenceOf(op: Op, inputs: () => OpInputs): Reference {
  const known = new Map<string | undefined, Piecewise<[], ReadonlyMap<string, Expected>>>();
  return piecewise((variant?: string) => {
    const own = variant !== undefined && hasOwnBudget(op.name, variant) ? variant : undefined;
    const found =
      known.get(own) ?? oncePiecewise(piecewise(() => piecesOf(op.reference, inputs(), undefined, own)));
    known.set(own, found);
    return piecesOf(found);
  });
}

/** The cases of one op by name. Each has a seed of its own, from its name. */
export function opCases(op: Op, cases: Readonly<Record<string, OpCase>>): KernelCase[] {
  return Object.entries(cases).map(([name, { tensors, attrs, quick }]) =>
    caseOf(
      op,
      name,
      piecewise(function* () {
        return inputsOf(op, yield* piecesOf(tensors, maker(`${op.name}/${name}`)), attrs);
      }),
      quick,
    ),
  );
}

/** A case of an op on inputs that are made when they are first asked for. */
export function caseOf(
  op: Op,
  name: string,
  make: (() => OpInputs) | Piecewise<[], OpInputs>,
  quick = false,
): KernelCase {
  const inputs = oncePiecewise(make);
  return {
    family: op.name,
    name,
    quick,
    op,
    inputs,
    variants: (gpu) => op.able(gpu, inputs()),
    prepare: async (gpu, variant) => op.prepare(gpu, await inPieces(piecesOf(inputs), gpu.signal), variant),
    reference: referenceOf(op, inputs),
    cost: () => op.cost(inputs()),
  };
}

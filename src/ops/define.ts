/** From what the file of an op provides to the op: its rules are checked before anything else happens. */
import { piecewise, type Pieces } from '../core/async/pieces.ts';
import { ConfigError } from '../core/errors.ts';
import { quoted } from '../core/text/quoted.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { registeredVariants } from '../kernels/variants.ts';
import { castFloat, f32Tensor, type Tensor } from '../tensor/tensor.ts';
import type { Cost, Expected, Op, OpFacts, OpInputs, PreparedOp } from './op.ts';
import { bindDims, dimNames, sizeOf, type Dims } from './shapes.ts';
import { outputDtype } from './op-buffers.ts';

/** What the file of an op provides. `Size` holds its sizes and settings, read once from the inputs. */
export interface OpDefinition<Size> extends OpFacts {
  /** @throws ConfigError for rules that go beyond names and dimensions. */
  size(inputs: OpInputs, dims: Dims): Size;
  able(gpu: Gpu, size: Size): string[];
  prepare(gpu: Gpu, inputs: OpInputs, size: Size, variant?: string): Promise<PreparedOp>;
  /** Yields where it may rest, see `piecewise`. */
  reference(
    inputs: OpInputs,
    size: Size,
    got?: ReadonlyMap<string, Tensor>,
    variant?: string,
  ): Pieces<ReadonlyMap<string, Expected>>;
  cost(inputs: OpInputs, size: Size): Cost;
}

export function defineOp<Size>(definition: OpDefinition<Size>): Op {
  const { name, about, inputs, outputs, attrs, registry, variants } = definition;
  const sized = (given: OpInputs): { dims: Dims; size: Size } => {
    const dims = bindDims(definition, given.tensors);
    return { dims, size: definition.size(given, dims) };
  };
  return {
    name,
    about,
    inputs,
    outputs,
    attrs,
    registry,
    variants,
    check: (given) => void sized(given),
    able: (gpu, given) => definition.able(gpu, sized(given).size),
    prepare: async (gpu, given, variant) => {
      const { dims, size } = sized(given);
      if (!hasNoOutput(definition, dims)) return definition.prepare(gpu, given, size, variant);
      const chosen = ableVariant(gpu, definition, definition.able(gpu, size), variant);
      return preparedNothing(chosen, emptyOutputs(definition, given, dims));
    },
    reference: piecewise(function* (given: OpInputs, got?: ReadonlyMap<string, Tensor>, variant?: string) {
      const { dims, size } = sized(given);
      if (!hasNoOutput(definition, dims)) return yield* definition.reference(given, size, got, variant);
      const budget = { atol: 0, rtol: 0 };
      const empty = [...emptyOutputs(definition, given, dims)];
      return new Map(empty.map(([key, { shape }]) => [key, { values: new Float64Array(0), shape, budget }]));
    }),
    cost: (given) => definition.cost(given, sized(given).size),
  };
}

/**
 * Whether every output is without elements by its dimensions alone. Beside a 0 the other dimensions may be anything,
 * since no data vouches for them: [0, 2^28, 1, 4] must not become a table of 2^28 positions.
 */
function hasNoOutput({ outputs }: OpFacts, dims: Dims): boolean {
  return outputs.every((rule) => {
    const sizes = dimNames(rule.dims).map((name) => dims[name]);
    return rule.optional !== true && !sizes.includes(undefined) && sizes.includes(0);
  });
}

/** @throws ConfigError for a name that is unknown or cannot run. */
function ableVariant(
  gpu: Gpu,
  { name, registry, variants }: OpFacts,
  able: readonly string[],
  wanted: string | undefined,
): string {
  const chosen = wanted ?? able[0];
  if (chosen !== undefined && able.includes(chosen)) return chosen;
  const names = [...variants, ...registeredVariants(gpu, registry)].map((variant) => variant.name);
  if (wanted !== undefined && !names.includes(wanted)) {
    throw new ConfigError(`${name} has no variant ${quoted(wanted)}. It has: ${names.join(', ')}.`);
  }
  throw new ConfigError(
    `${name}: ${wanted === undefined ? 'no variant' : `the variant ${wanted}`} can run these sizes here. ` +
      `Able: ${able.join(', ') || 'none'}.`,
  );
}

function emptyOutputs({ outputs }: OpFacts, given: OpInputs, dims: Dims): Map<string, Tensor> {
  return new Map(
    outputs.map((rule) => {
      const shape = dimNames(rule.dims).map((name) => sizeOf(dims, name));
      return [rule.name, castFloat(f32Tensor(shape, new Float32Array(0)), outputDtype(given))];
    }),
  );
}

function preparedNothing(variant: string, outputs: ReadonlyMap<string, Tensor>): PreparedOp {
  return {
    variant,
    written: [],
    record: () => undefined,
    read: () => Promise.resolve(new Map(outputs)),
    destroy: () => undefined,
  };
}

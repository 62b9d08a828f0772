/** From what the file of an op provides to the op: its rules are checked before anything else happens. */
import type { Gpu } from '../gpu/gpu.ts';
import type { Cost, Expected, Op, OpFacts, OpInputs, PreparedOp } from './op.ts';
import { bindDims, type Dims } from './shapes.ts';

/** What the file of an op provides. `Size` holds its sizes and settings, read once from the inputs. */
export interface OpDefinition<Size> extends OpFacts {
  /** @throws ConfigError for rules that go beyond names and dimensions. */
  size(inputs: OpInputs, dims: Dims): Size;
  able(gpu: Gpu, size: Size): string[];
  prepare(gpu: Gpu, inputs: OpInputs, size: Size, variant?: string): Promise<PreparedOp>;
  reference(inputs: OpInputs, size: Size): ReadonlyMap<string, Expected>;
  cost(inputs: OpInputs, size: Size): Cost;
}

export function defineOp<Size>(definition: OpDefinition<Size>): Op {
  const { name, about, inputs, outputs, attrs, variants } = definition;
  const sizeOf = (given: OpInputs): Size => definition.size(given, bindDims(definition, given.tensors));
  return {
    name,
    about,
    inputs,
    outputs,
    attrs,
    variants,
    check: (given) => void sizeOf(given),
    able: (gpu, given) => definition.able(gpu, sizeOf(given)),
    prepare: async (gpu, given, variant) => definition.prepare(gpu, given, sizeOf(given), variant),
    reference: (given) => definition.reference(given, sizeOf(given)),
    cost: (given) => definition.cost(given, sizeOf(given)),
  };
}

/** Tensors against an op's rules: names, dtypes, and dimensions that must agree between tensors. */
import { ConfigError } from '../core/errors.ts';
import { at } from '../core/math.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { OpFacts, TensorRule } from './op.ts';
import { didYouMean } from './names.ts';

/** Sizes by the name of their dimension. */
export type Dims = Readonly<Record<string, number>>;

/** '[T, E]' -> ['T', 'E'] */
export function dimNames(dims: string): string[] {
  return dims
    .replace(/[[\]]/g, '')
    .split(',')
    .map((name) => name.trim());
}

/**
 * The size of every dimension. The first tensor in the order of the rules that has a dimension sets it.
 * logits [2, 8] under '[T, E]' -> { T: 2, E: 8 }.
 * @throws ConfigError for a tensor that is unknown, missing, of another dtype, rank or size.
 */
export function bindDims(op: OpFacts, tensors: ReadonlyMap<string, Tensor>): Dims {
  refuseUnknown(op, tensors);
  const bound: Record<string, number> = {};
  const setBy: Record<string, string> = {};
  for (const rule of op.inputs) {
    const t = tensors.get(rule.name);
    if (t === undefined) {
      if (rule.optional) continue;
      throw new ConfigError(`${op.name} needs the tensor ${rule.name} ${rule.dims} (${rule.about}).`);
    }
    checkDtype(op, rule, t);
    const names = dimNames(rule.dims);
    if (t.shape.length !== names.length) {
      throw new ConfigError(
        `${op.name}: ${rule.name} is [${t.shape.join(', ')}]; expected ${rule.dims}, ${names.length} dimensions${known(names, bound)}.`,
      );
    }
    const wrong = names.filter((name, d) => (bound[name] ?? at(t.shape, d)) !== at(t.shape, d));
    if (wrong.length > 0) {
      const sources = [...new Set(wrong.map((name) => setBy[name]))].join(' and ');
      const expected = names.map((name, d) => bound[name] ?? at(t.shape, d));
      throw new ConfigError(
        `${op.name}: ${rule.name} is [${t.shape.join(', ')}]; expected ${rule.dims} = [${expected.join(', ')}] from ${sources}.`,
      );
    }
    names.forEach((name, d) => {
      bound[name] ??= at(t.shape, d);
      setBy[name] ??= rule.name;
    });
  }
  return bound;
}

/** The size of a dimension that a required tensor has. */
export function sizeOf(dims: Dims, name: string): number {
  return dims[name] ?? 0;
}

/** @throws ConfigError when one of the named dimensions is 0. */
export function requirePositive(op: string, dims: Dims, names: readonly string[]): void {
  for (const name of names) {
    if (!(sizeOf(dims, name) >= 1)) {
      throw new ConfigError(`${op}: the dimension ${name} is ${sizeOf(dims, name)}; it must be at least 1.`);
    }
  }
}

function refuseUnknown(op: OpFacts, tensors: ReadonlyMap<string, Tensor>): void {
  const names = op.inputs.map((rule) => rule.name);
  for (const name of tensors.keys()) {
    if (names.includes(name)) continue;
    throw new ConfigError(
      `${op.name} has no tensor "${name}"${didYouMean(name, names)}. It takes: ${names.join(', ')}.`,
    );
  }
}

function checkDtype(op: OpFacts, rule: TensorRule, t: Tensor): void {
  if (rule.dtypes.includes(t.dtype)) return;
  throw new ConfigError(
    `${op.name}: ${rule.name} is ${t.dtype.toUpperCase()}; it must be ${rule.dtypes.map((d) => d.toUpperCase()).join(' or ')}.`,
  );
}

function known(names: readonly string[], bound: Readonly<Record<string, number>>): string {
  const facts = names.filter((name) => bound[name] !== undefined).map((name) => `${name} = ${bound[name]}`);
  return facts.length === 0 ? '' : ` (${facts.join(', ')})`;
}

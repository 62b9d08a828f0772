/** Tensors against an op's rules: names, dtypes, and dimensions that must agree between tensors. */
import { ConfigError } from '../core/errors.ts';
import { at, product } from '../core/math.ts';
import { quoted, shapeText } from '../core/text/quoted.ts';
import { BYTES_OF, type Dtype, type Tensor } from '../tensor/tensor.ts';
import { BLOCK } from '../tensor/quantised.ts';
import type { OpFacts, TensorRule } from './op.ts';
import { didYouMean } from '../core/text/near-names.ts';
import { checkScales, isPacked, lastOver, tensorNames } from './quantised-inputs.ts';

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
      if (rule.quantised) checkScales(op.name, rule, tensors, []);
      if (rule.optional) continue;
      throw new ConfigError(`${op.name} needs the tensor ${rule.name} ${rule.dims} (${rule.about}).`);
    }
    checkDtype(op, rule, t);
    const shape = shapeInValues(op, rule, t, bound, setBy);
    const names = dimNames(rule.dims);
    names.forEach((name, d) => {
      bound[name] ??= at(shape, d);
      setBy[name] ??= rule.name;
    });
    if (rule.quantised) checkScales(op.name, rule, tensors, shape);
  }
  for (const [name, t] of tensors) checkData(op, name, t);
  return bound;
}

/** @throws ConfigError for data that is not what its tensor says. */
function checkData(op: OpFacts, name: string, t: Tensor): void {
  if (t.data.length === product(t.shape) && t.data.BYTES_PER_ELEMENT === BYTES_OF[t.dtype]) return;
  throw new ConfigError(
    `${op.name}: ${name} says ${t.dtype} ${shapeText(t.shape)}, but its data is a ${t.data.constructor.name} of ` +
      `${t.data.length}. Make it with tensor().`,
  );
}

/** The shape of a tensor that fits what is bound so far; of packed weights, in values: a byte holds two. */
function shapeInValues(
  op: OpFacts,
  rule: TensorRule,
  t: Tensor,
  bound: Dims,
  setBy: Readonly<Record<string, string>>,
): readonly number[] {
  const names = dimNames(rule.dims);
  const packed = isPacked(rule, t);
  const perElement = (d: number): number => (packed && d === names.length - 1 ? 2 : 1);
  const what = `${op.name}: ${rule.name} is ${packed ? 'U8 ' : ''}${shapeText(t.shape)}`;
  const dims = packed ? lastOver(rule.dims, 2) : rule.dims;
  if (t.shape.length !== names.length) {
    throw new ConfigError(`${what}; expected ${dims}, ${names.length} dimensions${known(names, bound)}.`);
  }
  const last = at(names, names.length - 1);
  const depth = bound[last];
  if (packed && depth !== undefined && depth % BLOCK !== 0) {
    throw new ConfigError(
      `${op.name}: ${last} = ${depth} is not a multiple of ${BLOCK}, but ${rule.name} is U8, whose rows are blocks of ` +
        `${BLOCK} values along ${last}, two to a byte. Give ${rule.name} as I8 or floats, or pad ${last}.`,
    );
  }
  const shape = t.shape.map((size, d) => size * perElement(d));
  const wrong = names.filter((name, d) => (bound[name] ?? at(shape, d)) !== at(shape, d));
  if (wrong.length > 0) {
    const sources = [...new Set(wrong.map((name) => setBy[name]))].join(' and ');
    const expected = names.map((name, d) => (bound[name] ?? at(shape, d)) / perElement(d));
    const note = packed ? ': two values per byte' : '';
    throw new ConfigError(`${what}; expected ${dims} = [${expected.join(', ')}] from ${sources}${note}.`);
  }
  return shape;
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
  const names = op.inputs.flatMap(tensorNames);
  for (const name of tensors.keys()) {
    if (names.includes(name)) continue;
    throw new ConfigError(
      `${op.name} has no tensor ${quoted(name)}${didYouMean(name, names)}. It takes: ${names.join(', ')}.`,
    );
  }
}

function checkDtype(op: OpFacts, rule: TensorRule, t: Tensor): void {
  const allowed: readonly Dtype[] = rule.quantised ? [...rule.dtypes, 'i8', 'u8'] : rule.dtypes;
  if (allowed.includes(t.dtype)) return;
  throw new ConfigError(
    `${op.name}: ${rule.name} is ${t.dtype.toUpperCase()}; it must be ${allowed.map((d) => d.toUpperCase()).join(' or ')}.`,
  );
}

function known(names: readonly string[], bound: Readonly<Record<string, number>>): string {
  const facts = names.filter((name) => bound[name] !== undefined).map((name) => `${name} = ${bound[name]}`);
  return facts.length === 0 ? '' : ` (${facts.join(', ')})`;
}

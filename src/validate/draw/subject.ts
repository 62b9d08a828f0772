/** A shape to tune, as data: which op, its sizes, and what differs from the op's defaults. */
import * as v from 'valibot';
import { ConfigError } from '../../core/errors.ts';
import { product } from '../../core/math.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted, shapeText } from '../../core/text/quoted.ts';
import { attrsFrom } from '../../ops/attrs.ts';
import { inputsOf, opByName } from '../../ops/ops.ts';
import type { Op, OpInputs } from '../../ops/op.ts';
import { quantisedTensors } from '../../ops/quantised-inputs.ts';
import { dimNames } from '../../ops/shapes.ts';
import { quantise } from '../../tensor/quantise.ts';
import { QUANT_FORMATS } from '../../tensor/quantised.ts';
import { castFloat, type Tensor } from '../../tensor/tensor.ts';
import { drawTensor } from './values.ts';
import { caseOf, type KernelCase } from '../kernel-case.ts';
import { maker } from './maker.ts';

const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

export const SubjectFile = v.object({
  op: v.string(),
  /** By the names of the op's dimensions: {M: 512, N: 1024, K: 1024}. */
  dims: v.record(v.string(), Size),
  attrs: v.optional(v.record(v.string(), v.union([v.number(), v.string(), v.boolean()]))),
  /** By tensor, where it is not the first that the op takes. */
  dtypes: v.optional(v.record(v.string(), v.string())),
  /** Optional tensors to give. */
  with: v.optional(v.array(v.string())),
});

export type Subject = Readonly<v.InferOutput<typeof SubjectFile>>;

/** 'matmul M=512 N=1024 K=1024, b f16' */
export function subjectText({ op, dims, attrs = {}, dtypes = {}, with: given = [] }: Subject): string {
  const words = Object.entries({ ...dims, ...attrs }).map(([name, value]) => `${name}=${value}`);
  const tensors = Object.entries(dtypes).map(([name, dtype]) => `, ${name} ${dtype}`);
  return `${op} ${words.join(' ')}${tensors.join('')}${given.length === 0 ? '' : `, with ${given.join(' and ')}`}`;
}

/** Elements of one tensor: 4 GiB in f32, which is the most that a device binds. */
const MOST_ELEMENTS = 2 ** 30;

/**
 * What can be told of a shape before any tensor is drawn.
 * @throws ConfigError for an op, size, attribute, dtype or tensor that the op does not know, a dimension that is missing,
 * and a tensor too large to be drawn.
 */
export function checkSubject(subject: Subject): void {
  const op = opByName(subject.op);
  checkNames(op, subject);
  attrsFrom(op, subject.attrs ?? {});
  const { dims, with: given = [] } = subject;
  for (const rule of [...op.inputs, ...op.outputs]) {
    if (rule.optional && !given.includes(rule.name)) continue;
    const shape = dimNames(rule.dims).map((name) => dims[name] ?? 1);
    if (product(shape) <= MOST_ELEMENTS) continue;
    throw new ConfigError(
      `${op.name}: ${rule.name} ${rule.dims} would be ${shapeText(shape)}, more than ${MOST_ELEMENTS} elements. ` +
        'Measure a smaller shape.',
    );
  }
}

/** @throws ConfigError for what `checkSubject` refuses. */
export function subjectCase(subject: Subject): KernelCase {
  const op = opByName(subject.op);
  checkSubject(subject);
  const name = subjectText(subject);
  return caseOf(op, name, () => subjectInputs(op, subject, name));
}

function checkNames(op: Op, { dims, dtypes = {}, with: given = [] }: Subject): void {
  const known = new Set(op.inputs.flatMap((rule) => dimNames(rule.dims)));
  const tensors = op.inputs.map((rule) => rule.name);
  const refuse = (what: string, name: string, all: readonly string[]): never => {
    throw new ConfigError(
      `${op.name} has no ${what} ${quoted(name)}${didYouMean(name, all)}. It has: ${all.join(', ')}.`,
    );
  };
  for (const name of Object.keys(dims)) if (!known.has(name)) refuse('dimension', name, [...known]);
  for (const name of [...Object.keys(dtypes), ...given]) {
    if (!tensors.includes(name)) refuse('tensor', name, tensors);
  }
  for (const rule of op.inputs) {
    const dtype = dtypes[rule.name];
    const known: readonly string[] = [...rule.dtypes, ...(rule.quantised ? QUANT_FORMATS : [])];
    if (dtype !== undefined && !known.includes(dtype)) {
      throw new ConfigError(
        `${op.name}: ${rule.name} is ${quoted(dtype)}; it must be ${known.join(' or ')}.`,
      );
    }
    if (rule.optional && !given.includes(rule.name)) continue;
    const missing = dimNames(rule.dims).filter((name) => dims[name] === undefined);
    if (missing.length > 0) {
      throw new ConfigError(
        `${op.name} needs the size of ${missing.join(' and ')} for ${rule.name} ${rule.dims}; add it to dims.`,
      );
    }
  }
}

function subjectInputs(
  op: Op,
  { dims, attrs = {}, dtypes = {}, with: given = [] }: Subject,
  name: string,
): OpInputs {
  const make = maker(`tune/${name}`);
  const tensors: Record<string, Tensor> = {};
  for (const rule of op.inputs) {
    if (rule.optional && !given.includes(rule.name)) continue;
    const shape = dimNames(rule.dims).map((dim) => dims[dim] ?? 1);
    const values = drawTensor(make, rule, shape, 'normal');
    const format = QUANT_FORMATS.find((f) => f === dtypes[rule.name]);
    if (format !== undefined) Object.assign(tensors, quantisedTensors(rule.name, quantise(values, format)));
    else {
      const dtype = dtypes[rule.name];
      tensors[rule.name] = castFloat(values, dtype === 'f16' || dtype === 'bf16' ? dtype : 'f32');
    }
  }
  const inputs = inputsOf(op, tensors, attrs);
  op.check(inputs);
  return inputs;
}

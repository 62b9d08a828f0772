/**
 * Weights in few bits among an op's tensors. A rule that allows them takes, besides floats,
 *   I8 [.., N, K]    with <name>_scales F32 [.., N]          int8
 *   U8 [.., N, K/2]  with <name>_scales F32 [.., N, K/32]    int4
 *   U8 [.., N, K/2]  with <name>_scales U8  [.., N, K/32]    mxfp4, the scales in e8m0
 * in the packing of `tensor/quantised.ts`.
 */
import { ConfigError, invariant } from '../core/errors.ts';
import { requireGiven } from '../core/given.ts';
import { at, product } from '../core/math.ts';
import { type HostWeight, isQuantised, type WeightDtype } from '../kernels/weights.ts';
import { unravel } from '../tensor/compare.ts';
import { BLOCK, dequantise, type QuantFormat } from '../tensor/quantised.ts';
import { type Tensor, toF64 } from '../tensor/tensor.ts';
import type { OpInputs, TensorRule } from './op.ts';

/** Dtypes of matrices that kernels read as they are stored, beside those of few bits. */
export const STORED_FLOATS = ['f32', 'f16', 'bf16'] as const;

type Tensors = ReadonlyMap<string, Tensor>;

export function scalesName(weight: string): string {
  return `${weight}_scales`;
}

/** A rule's own tensor and the scales that may come with it. */
export function tensorNames(rule: TensorRule): string[] {
  return rule.quantised ? [rule.name, scalesName(rule.name)] : [rule.name];
}

/** '[N, K]' of a tensor that packs two values in a byte is stored as '[N, K/2]'. */
export function isPacked(rule: TensorRule, t: Tensor): boolean {
  return rule.quantised === true && t.dtype === 'u8';
}

/** The dimensions of a rule with the last one divided: lastOver('[N, K]', 32) = '[N, K/32]'. */
export function lastOver(dims: string, divisor: number): string {
  return dims.replace(/\]$/, `/${divisor}]`);
}

/**
 * @param shape of the weight, in values.
 * @throws ConfigError for scales that are missing, needless, of another dtype or shape, or not finite.
 */
export function checkScales(op: string, rule: TensorRule, tensors: Tensors, shape: readonly number[]): void {
  const { name, dims } = rule;
  const t = tensors.get(name);
  const scales = tensors.get(scalesName(name));
  const refuse = (text: string): never => {
    throw new ConfigError(`${op}: ${text}`);
  };
  if (t === undefined) {
    if (scales === undefined) return;
    return refuse(`${scalesName(name)} is given without ${name}; give both, or neither.`);
  }
  const dtype = t.dtype.toUpperCase();
  if (t.dtype !== 'i8' && t.dtype !== 'u8') {
    if (scales === undefined) return;
    return refuse(
      `${scalesName(name)} is given, but ${name} is ${dtype}; scales belong to I8 or U8. Leave them out.`,
    );
  }
  const packed = t.dtype === 'u8';
  const depth = at(shape, shape.length - 1);
  if (packed && depth % BLOCK !== 0) {
    return refuse(
      `${name} is U8 [${t.shape.join(', ')}], ${depth} values per row at two per byte; they come in blocks of ${BLOCK}, ` +
        `so a row must be a multiple of it. Use I8, or floats.`,
    );
  }
  const wantedShape = packed ? [...shape.slice(0, -1), depth / BLOCK] : shape.slice(0, -1);
  const wantedDims = packed ? lastOver(dims, BLOCK) : dims.replace(/, [^,]*\]$/, ']');
  const expected = `${scalesName(name)} ${wantedDims} = [${wantedShape.join(', ')}]`;
  const dtypes = packed ? 'F32 (int4) or U8 (mxfp4)' : 'F32';
  if (scales === undefined)
    return refuse(`${name} is ${dtype}, which needs its scales; expected ${expected} of ${dtypes}.`);
  if (scales.dtype !== 'f32' && !(packed && scales.dtype === 'u8')) {
    return refuse(
      `${scalesName(name)} is ${scales.dtype.toUpperCase()}; beside ${name} of ${dtype} it must be ${dtypes}; expected ${expected}.`,
    );
  }
  if (scales.shape.join() !== wantedShape.join()) {
    return refuse(
      `${scalesName(name)} is [${scales.shape.join(', ')}]; expected ${expected}: a scale per ` +
        `${packed ? `block of ${BLOCK} values` : 'row'}${otherBlocks(scales, shape, packed)}.`,
    );
  }
  const wrong = scales.data.findIndex((scale) =>
    scales.dtype === 'u8' ? scale === 255 : !Number.isFinite(scale),
  );
  if (wrong >= 0) {
    const value = scales.dtype === 'u8' ? '255, which means NaN' : String(at(scales.data, wrong));
    return refuse(
      `${scalesName(name)}[${unravel(wrong, scales.shape).join(', ')}] is ${value}; scales are finite. Quantise the weights again.`,
    );
  }
}

/** ', not of 64', when the number of scales is that of blocks of another size. */
function otherBlocks(scales: Tensor, shape: readonly number[], packed: boolean): string {
  const size = product(shape) / scales.data.length;
  return packed && Number.isInteger(size) && size !== BLOCK && size > 1 ? `, not of ${size}` : '';
}

/** The weight of a name that was checked: as it is in floats, or with its scales. */
export function weightOf(inputs: OpInputs, name: string): HostWeight {
  const t = inputs.tensors.get(name);
  const scales = inputs.tensors.get(scalesName(name));
  invariant(t !== undefined, () => `weight ${name} was not checked`);
  if (t.dtype !== 'i8' && t.dtype !== 'u8') return t;
  invariant(
    scales?.data instanceof Float32Array || scales?.data instanceof Uint8Array,
    () => `the scales of ${name} were not checked`,
  );
  const format: QuantFormat = t.dtype === 'i8' ? 'int8' : scales.dtype === 'u8' ? 'mxfp4' : 'int4';
  const shape = t.dtype === 'u8' ? [...t.shape.slice(0, -1), 2 * at(t.shape, t.shape.length - 1)] : t.shape;
  return { format, shape, data: t.data as Int8Array | Uint8Array, scales: scales.data };
}

/** The exact values of a weight that was checked. */
export function weightValues(inputs: OpInputs, name: string): Float64Array {
  const weight = weightOf(inputs, name);
  return toF64('format' in weight ? dequantise(weight) : weight);
}

/** Roundings that scales add to a sum: of a value times its scale, or of a sum of products times it and one more sum. */
export function scaleRoundings(dtype: WeightDtype): number {
  return isQuantised(dtype) ? 2 : 0;
}

/** The tensors of a weight in few bits by their names, as an op takes them. */
export function quantisedTensors(name: string, weight: HostWeight): Record<string, Tensor> {
  requireGiven('The name', name, 'string');
  requireGiven('The weight', weight, 'record');
  if (!('format' in weight)) return { [name]: weight };
  const { format, shape, data, scales } = weight;
  const rows = shape.slice(0, -1);
  const depth = at(shape, shape.length - 1);
  const [stored, perScale] =
    format === 'int8'
      ? [shape, rows]
      : [
          [...rows, depth / 2],
          [...rows, depth / BLOCK],
        ];
  return {
    [name]: { dtype: format === 'int8' ? 'i8' : 'u8', shape: stored, data },
    [scalesName(name)]: { dtype: format === 'mxfp4' ? 'u8' : 'f32', shape: perScale, data: scales },
  };
}

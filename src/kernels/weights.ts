/**
 * Weights as kernels read them. One buffer holds a matrix [N, K] or a stack [E, N, K]: the values, then from a
 * multiple of 256 bytes on the scales in f32.
 *
 *   f32           values row by row; no scales
 *   f16, bf16     the same, two to a word
 *   int8          value n K + k is byte n K + k; scales [E N]
 *   int4, mxfp4   value n K + k is nibble n K + k, eight to a word, the lowest first; scales [E N, K / 32]
 */
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven, requireGpu } from '../core/given.ts';
import { ceilDiv, product } from '../core/math.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { BLOCK, type HostWeight, isQuantised, scalesInF32, type WeightDtype } from '../tensor/quantised.ts';
import { requireIndexable, weightBytes, weightPlaces } from '../tensor/weight-bytes.ts';

export { isQuantised };
export type { HostWeight, WeightDtype };

const FORMAT_CODE: Readonly<Record<WeightDtype, number>> = {
  f32: 0,
  f16: 1,
  bf16: 1,
  int8: 2,
  int4: 3,
  mxfp4: 4,
};

/** MXFP4 by way of f16. */
const SMALL_HALVES = 5;

/** `FORMAT` and `BF16` of the shaders. */
export function formatOf(dtype: WeightDtype, gpu: Gpu): { readonly FORMAT: number; readonly BF16: boolean } {
  const inHalves = dtype === 'mxfp4' && gpu.readsBySmallHalves;
  return { FORMAT: inHalves ? SMALL_HALVES : FORMAT_CODE[dtype], BF16: dtype === 'bf16' };
}

/** `Pack` of the shaders: what one load of a group of four values brings. */
export function packType(dtype: WeightDtype): 'vec4<u32>' | 'u32' {
  return dtype === 'f32' ? 'vec4<u32>' : 'u32';
}

/** Values in one vec4<u32>. */
const CHUNK: Readonly<Record<WeightDtype, number>> = {
  ...{ f32: 4, f16: 8, bf16: 8 },
  ...{ int8: 16, int4: 32, mxfp4: 32 },
};

/** `GROUPS` of the shaders: groups of four values in one vec4<u32>. */
export function chunkGroups(dtype: WeightDtype): number {
  return CHUNK[dtype] / 4;
}

/** Why kernels that load whole vec4<u32> along k cannot read rows of this depth; undefined when they can. */
export function wholeChunks(dtype: WeightDtype, depth: number): string | undefined {
  return depth % CHUNK[dtype] === 0
    ? undefined
    : `K = ${depth} is not a multiple of ${CHUNK[dtype]}, the ${dtype} values of one vec4`;
}

/** Whether rows of this depth are whole panels of `lanes` lanes with `loads` vec4<u32> each: `WHOLE` of the shaders. */
export const wholePanels = (dtype: WeightDtype, depth: number, lanes: number, loads: number): boolean =>
  depth % (CHUNK[dtype] * lanes * loads) === 0;

/** WGSL's products of four bytes each, with a sum. */
const DOT = 'packed_4x8_integer_dot_product';

/** Terms of at most 127^2 whose sum 32 bits hold. */
const MOST_DEPTH = Math.floor((2 ** 31 - 1) / 127 ** 2 / 4) * 4;

/** Why weights are not multiplied with activations in int8; undefined when they can be. */
export function dotRefusal(
  { weightDtype, depth }: { readonly weightDtype: WeightDtype; readonly depth: number },
  gpu: Gpu,
): string | undefined {
  if (weightDtype !== 'int8') return `its weights are int8, these are ${weightDtype}`;
  if (!gpu.speaks(DOT)) return `the adapter's WGSL has no ${DOT}`;
  return depth > MOST_DEPTH ? `K = ${depth} exceeds ${MOST_DEPTH}: sums would leave 32 bits` : undefined;
}

/** Why a device has no arithmetic in f16; undefined when it has. */
export function halfRefusal(gpu: Gpu): string | undefined {
  return gpu.has('shader-f16') ? undefined : 'the adapter does not offer shader-f16';
}

/** Groups of four values along k that have one scale in common. */
export function blockGroups(dtype: WeightDtype, depth: number): number {
  return dtype === 'int4' || dtype === 'mxfp4' ? BLOCK / 4 : Math.max(1, ceilDiv(depth, 4));
}

/** Word of the buffer where the scales begin; 0 for floats. */
export function scaleStart(dtype: WeightDtype, shape: readonly number[]): number {
  return weightPlaces(dtype, shape).scalesAt / 4;
}

/** How a weight on the host will lie on the device. */
export function weightDtypeOf(weight: HostWeight): WeightDtype {
  requireFields('The weight', weight, { shape: 'list', data: 'list' });
  if ('format' in weight) return weight.format;
  return weight.dtype === 'f16' || weight.dtype === 'bf16' ? weight.dtype : 'f32';
}

/**
 * Lays a weight [N, K] or a stack [E, N, K] down as kernels read it: values, then scales.
 * @param weight f32, f16, bf16 or quantised. @returns a buffer that the caller owns.
 * @throws ConfigError when the adapter cannot bind it, or kernels cannot number its values.
 */
export function uploadWeight(gpu: Gpu, label: string, weight: HostWeight): GpuBuffer {
  requireGpu(gpu);
  requireGiven('The label', label, 'string');
  requireGiven('The weight', weight, 'record');
  const dtype = weightDtypeOf(weight);
  const { shape } = weight;
  if (!('format' in weight) && weight.dtype !== dtype) {
    throw new ConfigError(
      `${label} is neither f32, f16, bf16 nor quantised. castFloat and quantise make it so.`,
    );
  }
  requireIndexable(label, shape);
  const buffer = gpu.buffer(label, weightBytes(dtype, shape));
  writeWeight(gpu, buffer, { dtype, shape }, weight);
  return buffer;
}

/** How a whole weight lies in its buffer. */
export interface WeightLayout {
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
}

/** A whole weight into the buffer that was made for it. */
export function writeWeight(
  gpu: Gpu,
  buffer: GpuBuffer,
  { dtype, shape }: WeightLayout,
  weight: HostWeight,
): void {
  gpu.write(buffer, weight.data);
  if ('format' in weight) gpu.write(buffer.view(weightPlaces(dtype, shape).scalesAt), scalesInF32(weight));
}

/**
 * Whole rows of a weight, the first of them value `firstValue` of all.
 * @returns false, with nothing written, when these are no whole words of the buffer.
 */
export function writeWeightPart(
  gpu: Gpu,
  buffer: GpuBuffer,
  { dtype, shape }: WeightLayout,
  part: HostWeight,
  firstValue: number,
): boolean {
  const count = product(part.shape);
  const perValue = part.data.byteLength / Math.max(1, count);
  const byteOffset = firstValue * perValue;
  if (byteOffset % 4 !== 0 || part.data.byteLength % 4 !== 0) return false;
  if (count === 0) return true;
  gpu.write(buffer.view(byteOffset), part.data);
  if ('format' in part) {
    const scales = scalesInF32(part);
    const first = (firstValue / count) * scales.length;
    gpu.write(buffer.view(weightPlaces(dtype, shape).scalesAt + 4 * first), scales);
  }
  return true;
}

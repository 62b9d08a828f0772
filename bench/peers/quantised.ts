/** This project's side of 4-bit weights: a tensor of bytes and its scales, by the names of an op's inputs. */
import { at } from '../../src/core/math.ts';
import { opByName } from '../../src/ops/ops.ts';
import { f32Tensor, type Dtype, type Tensor, type TensorData } from '../../src/tensor/tensor.ts';
import { BLOCK, type Int4Weights } from './int4.ts';

/** True when the op has scales beside the weights `name`. */
export function takesInt4(op: string, name: string): boolean {
  return opByName(op).inputs.some((input) => input.name === `${name}_scales`);
}

/** True when the layer computes its router's logits itself. */
export function takesGate(): boolean {
  return opByName('moe').inputs.some((input) => input.name === 'gate');
}

/** {b, b_scales} */
export function int4Inputs(name: string, weights: Int4Weights): Record<string, Tensor> {
  const leading = weights.shape.slice(0, -1);
  const depth = at(weights.shape, weights.shape.length - 1);
  const dtype: string = 'u8';
  const data: unknown = weights.packed;
  return {
    [name]: { dtype: dtype as Dtype, shape: [...leading, depth / 2], data: data as TensorData },
    [`${name}_scales`]: f32Tensor([...leading, depth / BLOCK], weights.scales),
  };
}

/** The weights of a routed layer: which formats its products read, and the matrices in them. */
import { ConfigError } from '../../core/errors.ts';
import { leavesRange, magnitudesOf } from '../../kernels/scale-range.ts';
import { type HostWeight, isQuantised, weightDtypeOf, type WeightDtype } from '../../kernels/weights.ts';
import { scalesInF32 } from '../../tensor/quantised.ts';
import { castFloat, toF32 } from '../../tensor/tensor.ts';
import type { OpInputs } from '../op.ts';
import { weightOf } from '../quantised-inputs.ts';
import { tensorOf } from '../op-buffers.ts';

export interface MoeDtypes {
  /** Of w1 and w3, which one dispatch reads. */
  readonly upDtype: WeightDtype;
  /** Of w2. */
  readonly downDtype: WeightDtype;
}

/** Floats of different kinds are widened. @throws ConfigError when w1 and w3 are not quantised alike. */
export function moeDtypes(inputs: OpInputs): MoeDtypes {
  const of = (name: string): WeightDtype => weightDtypeOf(weightOf(inputs, name));
  const [w1, downDtype] = [of('w1'), of('w2')];
  const w3 = inputs.tensors.has('w3') ? of('w3') : w1;
  if (w1 === w3) return { upDtype: w1, downDtype };
  if (isQuantised(w1) || isQuantised(w3)) {
    throw new ConfigError(
      `moe: w1 is ${w1} and w3 is ${w3}; one kernel reads both, so they must be quantised alike. Convert one of them.`,
    );
  }
  return { upDtype: 'f32', downDtype };
}

export interface MoeWeights {
  readonly w1: HostWeight;
  readonly w2: HostWeight;
  readonly w3: HostWeight | undefined;
}

/** The matrices in the formats of `moeDtypes`. */
export function moeWeights(inputs: OpInputs): MoeWeights {
  const { upDtype } = moeDtypes(inputs);
  const up = (name: string): HostWeight => {
    const weight = weightOf(inputs, name);
    return 'format' in weight || upDtype === weight.dtype ? weight : castFloat(weight, 'f32');
  };
  return {
    w1: up('w1'),
    w2: weightOf(inputs, 'w2'),
    w3: inputs.tensors.has('w3') ? up('w3') : undefined,
  };
}

/** Largest magnitude of a value before it is scaled. */
const MOST_VALUE = { int8: 128, int4: 8, mxfp4: 6 } as const;

function mostOf(weight: HostWeight): number {
  if (!('format' in weight)) return magnitudesOf(toF32(weight)).most;
  return MOST_VALUE[weight.format] * magnitudesOf(scalesInF32(weight)).most;
}

/** Whether either product may leave f32 on its way (see `leavesRange`). Hidden values are bounded by what they are made of. */
export function leaveRange(
  inputs: OpInputs,
  size: { readonly modelDim: number; readonly clamp: { readonly beta: number } },
): readonly [up: boolean, down: boolean] {
  const { w1, w2, w3 } = moeWeights(inputs);
  const x = magnitudesOf(toF32(tensorOf(inputs, 'x')));
  const up = leavesRange(w1, x) || (w3 !== undefined && leavesRange(w3, x));
  if (!('format' in w2)) return [up, false];
  const biasOf = (name: string): number => {
    const bias = inputs.tensors.get(name);
    return bias === undefined ? 0 : magnitudesOf(toF32(bias)).most;
  };
  const gate = size.modelDim * x.most * mostOf(w1) + biasOf('b1');
  const other = w3 === undefined ? 1 : size.modelDim * x.most * mostOf(w3) + biasOf('b3');
  return [up, leavesRange(w2, { least: Infinity, most: gate * (other + Math.abs(size.clamp.beta)) })];
}

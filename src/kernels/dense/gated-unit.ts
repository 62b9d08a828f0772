/** A plain gated unit: y = w2 (act(w1 x) (w3 x)), w1 above w3 in one matrix, and what may scale the whole of it. */
import type { Activation } from '../../core/activation.ts';
import { ceilDiv } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { prepareSized, sizedFor } from '../sized.ts';
import { spread } from '../variants.ts';
import { type Gemm, prepareGemm, type WeightDtype } from './gemm.ts';

/** The middle of a unit: its activation, between the two products. */
export const gatedMiddle = defineKernel({
  shader: 'elementwise/gated-unit.wgsl',
  spec: { WG: 64, ACT: 1, SCALED: false },
  params: { numRows: 'u32', width: 'u32' },
  buffers: { u_TC: 'read', h_TF: 'write' },
  grid: (s, p) => spread(ceilDiv(p.numRows * p.width, s.WG)),
});

/** Activations of one argument. */
const CODE: Readonly<Record<Exclude<Activation, 'swiglu_oai'>, number>> = {
  identity: 0,
  silu: 1,
  gelu: 2,
  relu: 3,
};

/** A unit of width F between rows of width D. */
export interface GatedUnitShape {
  readonly modelDim: number;
  readonly width: number;
  readonly activation: Exclude<Activation, 'swiglu_oai'>;
  readonly upDtype: WeightDtype;
  readonly downDtype: WeightDtype;
  /** Below w3 lies one row more, whose product's sigmoid scales the result. */
  readonly scaled: boolean;
  /** Of both products: see `GemmShape.wide`. */
  readonly wide?: boolean;
}

/** Rows of the matrix of both projections. */
export function unitRows({ width, scaled }: Pick<GatedUnitShape, 'width' | 'scaled'>): number {
  return 2 * width + (scaled ? 1 : 0);
}

/** A compiled unit, to be recorded any number of times. */
export interface GatedUnit {
  /** x [T, D] -> y [T, D]. `up` and `hidden` are scratch, [T, unitRows] and [T, F]. */
  record(
    commands: CommandList,
    numRows: number,
    t: { x: Bindable; w13: Bindable; w2: Bindable; up: Bindable; hidden: Bindable; y: Bindable },
  ): void;
}

export async function prepareGatedUnit(gpu: Gpu, shape: GatedUnitShape): Promise<GatedUnit> {
  const { modelDim, width, activation, upDtype, downDtype, scaled, wide } = shape;
  const gemms = (size: { numCols: number; depth: number; weightDtype: WeightDtype }) =>
    prepareSized((numRows): Promise<Gemm> => prepareGemm(gpu, { numRows, ...size, wide }));
  const [kernel, up, down] = await Promise.all([
    gpu.kernel(gatedMiddle, { ACT: CODE[activation], SCALED: scaled }),
    gemms({ numCols: unitRows(shape), depth: modelDim, weightDtype: upDtype }),
    gemms({ numCols: modelDim, depth: width, weightDtype: downDtype }),
  ]);
  return {
    record: (commands, numRows, t) => {
      sizedFor(up, numRows).record(commands, numRows, { a: t.x, b: t.w13, c: t.up });
      commands.dispatch(kernel, { numRows, width }, { u_TC: t.up, h_TF: t.hidden });
      sizedFor(down, numRows).record(commands, numRows, { a: t.hidden, b: t.w2, c: t.y });
    },
  };
}

/** Rotary embedding (Su et al., arXiv 2104.09864), alone or fused with the append to the KV cache. */
import { invariant } from '../../core/errors.ts';
import { requireGiven, requireGpu } from '../../core/given.ts';
import { ceilDiv } from '../../core/math.ts';
import type { Bindable } from '../../gpu/buffer.ts';
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { defineKernel } from '../../gpu/kernel.ts';
import { chooseVariant, preferring, spread, type Variant } from '../variants.ts';

const params = {
  numRows: 'u32',
  numHeads: 'u32',
  headDim: 'u32',
  xStride: 'u32',
  xStart: 'u32',
} as const;
const buffers = { x_TC: 'read', table_PI: 'read', position_T: 'read', y_THD: 'write' } as const;
export const ROPE_INTERFACE = { params, buffers };

const rope = defineKernel({
  shader: 'attention/rope.wgsl',
  spec: { WG: 64, INTERLEAVED: false },
  params,
  buffers,
  grid: (s, p) => spread(ceilDiv((p.numRows * p.numHeads * p.headDim) / 2, s.WG)),
});

const ropeRows = defineKernel({
  shader: 'attention/rope-rows.wgsl',
  spec: { WG: 8, INTERLEAVED: false },
  params,
  buffers,
  grid: (s, p) => spread(ceilDiv((p.numRows * p.headDim) / 8, s.WG)),
});

const ropeAppend = defineKernel({
  shader: 'attention/rope-append.wgsl',
  spec: { WG: 64, PAIRS: 1, KV_F16: false },
  params: { numRows: 'u32', numHeads: 'u32', numKvHeads: 'u32', headDim: 'u32' },
  buffers: {
    qkv_TC: 'read',
    table_PI: 'read',
    place_T: 'read',
    q_THD: 'write',
    kCache: 'write',
    vCache: 'write',
  },
  grid: (s, p) => {
    const pairs = (p.numRows * (p.numHeads + 2 * p.numKvHeads) * p.headDim) / 2;
    return spread(ceilDiv(pairs / s.PAIRS, s.WG));
  },
});

const ropeAppendFours = defineKernel({
  shader: 'attention/rope-append-fours.wgsl',
  spec: { WG: 64, KV_F16: false, Four: 'vec4<u32>', LAST: 3 },
  params: ropeAppend.params,
  buffers: ropeAppend.buffers,
  grid: (s, p) => spread(ceilDiv((p.numRows * (p.numHeads + 2 * p.numKvHeads) * p.headDim) / 8, s.WG)),
});

/**
 * cos and sin of position * theta^(-2i/Dh) from `firstPosition` on, f32 [positions, Dh/2, 2] rounded from f64.
 * WGSL's own cos may be off by 2^-11 and is not specified beyond [-pi, pi], so the angles are never computed on the
 * device.
 */
export function ropeTable(
  numPositions: number,
  headDim: number,
  theta: number,
  firstPosition = 0,
): Float32Array {
  const half = headDim / 2;
  const table = new Float32Array(numPositions * half * 2);
  for (let i = 0; i < half; i++) {
    const frequency = theta ** ((-2 * i) / headDim);
    for (let p = 0; p < numPositions; p++) {
      const angle = (firstPosition + p) * frequency;
      table[(p * half + i) * 2] = Math.cos(angle);
      table[(p * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}

/**
 * The same by frequencies of their own, [Dh/2], cos and sin times `factor`; a pair of frequency 0 stays as it is.
 */
export function ropeTableOf(
  numPositions: number,
  { frequencies, factor }: { readonly frequencies: readonly number[]; readonly factor: number },
): Float32Array {
  const half = frequencies.length;
  const table = new Float32Array(numPositions * half * 2);
  frequencies.forEach((frequency, i) => {
    const by = frequency === 0 ? 1 : factor;
    for (let p = 0; p < numPositions; p++) {
      table[(p * half + i) * 2] = Math.cos(p * frequency) * by;
      table[(p * half + i) * 2 + 1] = Math.sin(p * frequency) * by;
    }
  });
  return table;
}

/** Width of a head, and which values make a pair: neighbours when interleaved, otherwise i and i + headDim / 2. */
export interface RopeShape {
  readonly headDim: number;
  readonly interleaved: boolean;
}

/** The variants of rotary embedding. A GPU takes them in this order, a CPU adapter `rows` first. */
export const ropeVariants: readonly Variant<RopeShape, typeof rope | typeof ropeRows>[] = [
  {
    name: 'default',
    idea: 'a thread per pair, angles from a table made in float64',
    kernel: rope,
    spec: ({ interleaved }) => ({ INTERLEAVED: interleaved }),
    refusal: () => undefined,
  },
  {
    name: 'rows',
    idea: 'a thread per four pairs of all heads, vec4 loads, angles read once for them',
    kernel: ropeRows,
    spec: ({ interleaved }, gpu) => ({ INTERLEAVED: interleaved, WG: gpu.rowLanes }),
    refusal: ({ headDim }) => (headDim % 8 === 0 ? undefined : `head size ${headDim} is not a multiple of 8`),
  },
];

/**
 * A compiled rotary embedding, to be recorded any number of times: `table` is what `ropeTable` makes, y f32 [T, H,
 * Dh].
 */
export interface Rope {
  readonly variant: string;
  /**
   * Turns `numHeads` heads of every row; rows of x are `xStride` wide and the heads begin at `xStart`, both whole
   * heads.
   */
  record(
    commands: CommandList,
    p: { numRows: number; numHeads: number; xStride: number; xStart: number },
    t: { x: Bindable; table: Bindable; position: Bindable; y: Bindable },
  ): void;
}

/**
 * Chooses and compiles rotary embedding (Su et al., arXiv 2104.09864) for a shape. `requested` names a variant.
 * @throws ConfigError when the requested variant does not exist or cannot run.
 */
export async function prepareRope(gpu: Gpu, shape: RopeShape, requested?: string): Promise<Rope> {
  requireGpu(gpu);
  requireGiven('The shape', shape, 'record');
  // A CPU adapter pays for loads; a GPU wants a thread per pair to be busy with few rows.
  const order = gpu.kernelsFor === 'gpu' ? ropeVariants : preferring(ropeVariants, 'rows');
  const variant = chooseVariant('rope', order, shape, gpu, requested);
  const kernel = await gpu.kernel(variant.kernel, variant.spec(shape, gpu));
  return {
    variant: variant.name,
    record: (commands, p, { x, table, position, y }) => {
      commands.dispatch(
        kernel,
        { ...p, headDim: shape.headDim },
        { x_TC: x, table_PI: table, position_T: position, y_THD: y },
      );
    },
  };
}

export interface RopeAppend {
  /** Splits qkv rows into turned q, and turned k and v in the cache rows that `place` names. */
  record(
    commands: CommandList,
    numRows: number,
    t: { qkv: Bindable; table: Bindable; place: Bindable; q: Bindable; kCache: Bindable; vCache: Bindable },
  ): void;
}

export async function prepareRopeAppend(
  gpu: Gpu,
  shape: { numHeads: number; numKvHeads: number; headDim: number; kvDtype?: 'f32' | 'f16' },
): Promise<RopeAppend> {
  const { numHeads, numKvHeads, headDim, kvDtype = 'f32' } = shape;
  const inPairs = headDim % 4 === 0;
  invariant(inPairs || kvDtype === 'f32', () => `heads of ${headDim} cannot be packed two halves to a word`);
  const KV_F16 = kvDtype === 'f16';
  // A GPU waits for loads: four pairs by vec4 are one round trip.
  const inFours = gpu.kernelsFor === 'gpu' && headDim % 8 === 0;
  const kernel = await gpu.kernel(
    inFours ? ropeAppendFours : ropeAppend,
    inFours ? { KV_F16, ...(KV_F16 && { Four: 'vec2<u32>', LAST: 1 }) } : { KV_F16, PAIRS: inPairs ? 2 : 1 },
  );
  return {
    record: (commands, numRows, { qkv, table, place, q, kCache, vCache }) => {
      commands.dispatch(
        kernel,
        { numRows, numHeads, numKvHeads, headDim },
        { qkv_TC: qkv, table_PI: table, place_T: place, q_THD: q, kCache, vCache },
      );
    },
  };
}

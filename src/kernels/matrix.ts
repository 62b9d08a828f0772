/** What kernels for matrix units ask of an adapter, and how their tiles are cut for the unit that it lists. */
import type { Gpu } from '../gpu/gpu.ts';
import { MATRIX_FEATURE, type MatrixUnit, matrixUnitText, SUBGROUP_SIZES } from '../gpu/shader/matrices.ts';
import type { WeightDtype } from './weights.ts';

/** Features of a device that such kernels enable. */
export const MATRIX_FEATURES: readonly GPUFeatureName[] = [
  'shader-f16',
  'subgroups',
  SUBGROUP_SIZES,
  MATRIX_FEATURE,
];

/** Workgroups lie in a square of subgroups, wider than high where there is no square: along m, along n. */
const SQUARES: Readonly<Record<number, readonly [m: number, n: number]>> = {
  1: [1, 1],
  2: [1, 2],
  4: [2, 2],
  8: [2, 4],
  16: [4, 4],
  32: [4, 8],
};

/** Halves of f16 in one vec4, which a row of a tile is made of. */
const UNIT = 8;

/** Products of halves with sums in f32 whose operands lie in whole vec4, `depth` terms at a time: the largest unit first. */
export function unitsOfHalves(gpu: Gpu, depth: number): MatrixUnit[] {
  return gpu.matrixUnits
    .filter(({ component, result }) => component === 'f16' && result === 'f32')
    .filter(({ n, k }) => n % 4 === 0 && k % UNIT === 0 && depth % k === 0)
    .sort((a, b) => b.m * b.n * b.k - a.m * a.n * a.k);
}

/** Those that tiles can be cut into. */
function f16Units(gpu: Gpu, tile: MatrixTile): MatrixUnit[] {
  const [down, along] = squareOf(gpu, tile) ?? [1, 1];
  return unitsOfHalves(gpu, tile.depth).filter(
    ({ m, n }) => tile.rows % (down * m) === 0 && tile.columns % (along * n) === 0,
  );
}

/** Lanes of a subgroup that every adapter of this kind can form. */
export function lanesOf(gpu: Gpu): number {
  return gpu.device.adapterInfo.subgroupMinSize ?? 0;
}

const squareOf = (gpu: Gpu, { threads }: MatrixTile): readonly [number, number] | undefined =>
  SQUARES[threads / lanesOf(gpu)];

/** What a workgroup computes at a time. */
export interface MatrixTile {
  readonly rows: number;
  readonly columns: number;
  /** Terms of a turn of its loop. */
  readonly depth: number;
  /** Invocations of a workgroup, whatever the size of its subgroups. */
  readonly threads: number;
}

/** Products of halves: 1 of rounded operands, 2 with the first operand in two halves, 3 with both. */
export type MatrixParts = 1 | 2 | 3;

/** f16 holds f16, int8, and MXFP4 with its powers of two; of the others it holds two halves. */
export function partsFor(dtype: WeightDtype): MatrixParts {
  return dtype === 'f32' || dtype === 'int4' ? 3 : 2;
}

/** Why matrix units cannot multiply such weights; undefined when they can. Nobody has made them of two halves yet. */
export function halvesRefusal(dtype: WeightDtype): string | undefined {
  return dtype === 'bf16' ? 'bf16 reaches beyond the halves that matrix units multiply' : undefined;
}

/** Bytes of workgroup storage: tiles of both operands and their second halves, and a power of two per row. */
function storageOf({ rows, columns, depth }: MatrixTile, parts: MatrixParts): number {
  const held = rows * (parts > 1 ? 2 : 1) + columns * (parts > 2 ? 2 : 1);
  return 16 * held * (depth / UNIT + 1) + 4 * (rows + columns) + 16;
}

/** The tile with the depth that its operands leave in workgroup storage. */
export function fittingTile(gpu: Gpu, tile: MatrixTile, parts: MatrixParts): MatrixTile {
  const most = gpu.limits.maxComputeWorkgroupStorageSize;
  return storageOf(tile, parts) <= most ? tile : { ...tile, depth: tile.depth / 2 };
}

/** Why no matrix unit of this adapter computes such tiles; undefined when one does. */
export function matrixRefusal(gpu: Gpu, tile: MatrixTile, parts: MatrixParts): string | undefined {
  const missing = featuresRefusal(gpu);
  if (missing !== undefined) return missing;
  const lanes = lanesOf(gpu);
  if (squareOf(gpu, tile) === undefined) {
    return `subgroups of ${lanes} lanes do not cut a workgroup of ${tile.threads}`;
  }
  const cut = fittingTile(gpu, tile, parts);
  if (f16Units(gpu, cut).length === 0) {
    return unitsRefusal(gpu, `${cut.rows}x${cut.columns}x${cut.depth}`);
  }
  return storageRefusal(gpu, storageOf(cut, parts));
}

/** Which features this device lacks for such kernels, in words. */
export function featuresRefusal(gpu: Gpu): string | undefined {
  // The others are asked for beside this one only.
  const needed = gpu.has(MATRIX_FEATURE) ? MATRIX_FEATURES : [MATRIX_FEATURE];
  const missing = needed.filter((feature) => !gpu.has(feature));
  return missing.length > 0 ? `the adapter does not offer ${missing.join(', ')}` : undefined;
}

/** That no listed unit computes tiles of this size. */
export function unitsRefusal(gpu: Gpu, tile: string): string {
  const listed = gpu.matrixUnits.map(matrixUnitText).join('; ') || 'none';
  return `it needs f16 x f16 -> f32 in parts of ${tile}; the adapter lists ${listed}`;
}

/** That a workgroup's storage is too small, if it is. */
export function storageRefusal(gpu: Gpu, bytes: number): string | undefined {
  const most = gpu.limits.maxComputeWorkgroupStorageSize;
  return bytes <= most ? undefined : `it needs ${bytes} bytes of workgroup storage, the adapter has ${most}`;
}

/** What is compiled in for the unit of this adapter. Only for what `matrixRefusal` does not refuse. */
export function matrixSpec(gpu: Gpu, wanted: MatrixTile, parts: MatrixParts) {
  const tile = fittingTile(gpu, wanted, parts);
  const [down, along] = squareOf(gpu, tile) ?? [1, 1];
  const { m, n, k } = f16Units(gpu, tile)[0] ?? { m: 8, n: 8, k: 8 };
  return {
    ...{ LANES: lanesOf(gpu), SUBGROUPS_M: down, SUBGROUPS_N: along, PARTS: parts, TILE_K: tile.depth },
    ...{ REG_M: tile.rows / (down * m), REG_N: tile.columns / (along * n) },
    ...{ DIM_M: m, DIM_N: n, DIM_K: k },
  };
}

/** The defaults of a shader for matrix units. */
export const MATRIX_SPEC = {
  ...{ LANES: 8, SUBGROUPS_M: 2, SUBGROUPS_N: 2, REG_M: 2, REG_N: 2 },
  ...{ DIM_M: 8, DIM_N: 8, DIM_K: 8, TILE_K: 32, PARTS: 2 },
};

/** Tiles that the families' variants have. */
export const SMALL_TILE: MatrixTile = { rows: 64, columns: 64, depth: 32, threads: 128 };
export const LARGE_TILE: MatrixTile = { rows: 128, columns: 128, depth: 32, threads: 256 };

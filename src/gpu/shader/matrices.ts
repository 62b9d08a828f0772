/** Matrix units, as an adapter lists them: what a subgroup multiplies in one step. */

/** One shape of them: [M, K] by [K, N], components of one type, sums of another. */
export interface MatrixUnit {
  /** Of both operands: 'f16', 'i8', 'u8'. */
  readonly component: string;
  /** Of the sums: 'f32', 'f16', 'i32', 'u32'. */
  readonly result: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Dawn's, behind its unsafe APIs; Chrome's, behind its flag. */
export const MATRIX_FEATURE = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;
/** Which matrix a subgroup has hangs on its size, so kernels say it. */
export const SUBGROUP_SIZES = 'subgroup-size-control' as GPUFeatureName;

/** What the types of WebGPU do not know yet. */
interface Listed {
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

/** What an adapter lists; nothing without the feature. An adapter tells it, its device does not. */
export function matrixUnitsOf({ info, features }: Pick<GPUAdapter, 'info' | 'features'>): MatrixUnit[] {
  if (!features.has(MATRIX_FEATURE)) return [];
  const listed = (info as Listed).subgroupMatrixConfigs ?? [];
  return [...listed].map(({ componentType, resultComponentType, M, N, K }) => ({
    ...{ component: componentType, result: resultComponentType },
    ...{ m: M, n: N, k: K },
  }));
}

/** 'f16 x f16 -> f32 16x16x16': M, N and K. */
export function matrixUnitText({ component, result, m, n, k }: MatrixUnit): string {
  return `${component} x ${component} -> ${result} ${m}x${n}x${k}`;
}

/** What of a device decides how much memory an engine takes. */
import { partsPay } from '../core/key-parts.ts';
import type { RankSizes } from './rank-sizes.ts';

export interface DeviceTraits {
  /** Parts of an array begin at multiples of so many bytes. */
  readonly offsetAlignment: number;
  /** The largest buffer that it makes and binds, bytes. */
  readonly bindableBytes: number;
  /** Whether attention of one token a sequence cuts the keys into parts, which take memory until they are merged. */
  splitsKeys(z: KeySizes): boolean;
}

/** The heads and keys of a rank. */
export type KeySizes = Pick<
  RankSizes,
  'numHeads' | 'numKvHeads' | 'headDim' | 'maxLength' | 'cacheSlots' | 'cacheDtype'
>;

/** WebGPU's default of minStorageBufferOffsetAlignment: no device of ours asks for less. */
const OFFSET_ALIGNMENT = 256;

/** A GPU with subgroups whose bindings hold 2 GiB, as those of desktops do, with the default choice of kernels. */
export const GPU_TRAITS: DeviceTraits = {
  offsetAlignment: OFFSET_ALIGNMENT,
  bindableBytes: 2 ** 31,
  splitsKeys: ({ numKvHeads, headDim, maxLength, cacheSlots }) =>
    headDim % 4 === 0 && headDim <= 256 && partsPay(cacheSlots * numKvHeads, maxLength),
};

/** A CPU adapter with the least bindings that WebGPU promises, such as llvmpipe. */
export const CPU_TRAITS: DeviceTraits = {
  offsetAlignment: OFFSET_ALIGNMENT,
  bindableBytes: 2 ** 27,
  splitsKeys: () => false,
};

/** Sizes and settings of attention, read from its inputs. B sequences, Sq queries and Skv keys, Hq and Hkv heads of Dh. */
import type { Pages } from './pages.ts';

export interface AttentionSize {
  readonly batch: number;
  readonly numQueries: number;
  readonly numKeys: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly causal: boolean;
  readonly scale: number;
  readonly window?: number;
  readonly softcap?: number;
  readonly hasSinks?: boolean;
  /** f16 when both k and v are: they are read as they are given. */
  readonly kvDtype?: 'f32' | 'f16';
  /** Where keys lie in pages; numKeys is then what a table has room for. */
  readonly pages?: Pages;
}

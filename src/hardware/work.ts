/** What an operation has to do, whatever does it: operations, bytes, and the least time that a hardware's figures allow. */
import { dtypeNamed, type Dtype } from './dtypes.ts';
import type { Profile } from './profiles/profile.ts';
import type { DecodeQuery, GemmQuery, MlaDecodeQuery, MlaPrefillQuery, PrefillQuery } from './queries.ts';

/** Operations (a multiply-add is two) and bytes of memory read and written. */
export interface Work {
  readonly flop: number;
  readonly bytes: number;
  readonly dtype: Dtype;
}

/** DeepSeek's latent attention: what the cache holds of a token, and the widths of a head without absorption. */
const MLA = { latent: 512, rotary: 64, key: 192, value: 128 } as const;

/** Bytes of an element that leaves a product: sums are rounded to 16 bits. */
const OUT_BYTES = 2;

/** m n k multiply-adds; each operand read once, the result written once. */
export function gemmWork({ m, n, k, dtype }: GemmQuery): Work {
  const format = dtypeNamed(dtype);
  const bytes = (m * k * format.activationBits + n * k * format.weightBits) / 8 + m * n * OUT_BYTES;
  return { flop: 2 * m * n * k, bytes, dtype: format };
}

/** Causal: half of the seq x seq scores, each of a key's and a value's width. */
export function prefillWork(query: PrefillQuery): Work {
  const { batch, seq, prefix = 0, heads, kvHeads, headDim, dtype = 'bf16' } = query;
  const format = dtypeNamed(dtype);
  const pairs = batch * seq * ((seq + 1) / 2 + prefix);
  const bytes = 2 * batch * headDim * (2 * heads * seq + 2 * kvHeads * (seq + prefix));
  return { flop: 4 * pairs * heads * headDim, bytes, dtype: format };
}

/** Keys and values of the cache are read once per KV head. */
export function decodeWork({ batch, kv, heads, kvHeads, headDim, dtype = 'bf16' }: DecodeQuery): Work {
  const format = dtypeNamed(dtype);
  const cache = (2 * batch * kv * kvHeads * headDim * format.weightBits) / 8;
  const rows = 2 * batch * heads * headDim * OUT_BYTES;
  return { flop: 4 * batch * kv * heads * headDim, bytes: cache + rows, dtype: dtypeNamed('bf16') };
}

/** Not absorbed: keys of 192, values of 128 numbers a head. */
export function mlaPrefillWork({ batch, seq, heads, dtype = 'bf16' }: MlaPrefillQuery): Work {
  const pairs = (batch * seq * (seq + 1)) / 2;
  const bytes = 2 * batch * seq * heads * 2 * (MLA.key + MLA.value);
  return { flop: 2 * pairs * heads * (MLA.key + MLA.value), bytes, dtype: dtypeNamed(dtype) };
}

/** Absorbed: every head multiplies the whole latent row, twice its 512 numbers and once its 64 rotary ones. */
export function mlaDecodeWork({ batch, kv, heads, dtype = 'bf16' }: MlaDecodeQuery): Work {
  const format = dtypeNamed(dtype);
  const width = MLA.latent + MLA.rotary;
  const cache = (batch * kv * width * format.weightBits) / 8;
  const rows = batch * heads * (width + MLA.latent) * OUT_BYTES;
  return {
    flop: 2 * batch * kv * heads * (width + MLA.latent),
    bytes: cache + rows,
    dtype: dtypeNamed('bf16'),
  };
}

/**
 * 1e12 operations a second that the hardware's units do in this format. A GPU without units for a narrow format widens it
 * first, to the next that it has.
 */
export function peakTflops(hardware: Profile, { multiplier }: Dtype): number {
  const peaks = hardware.peakTflops;
  const order = {
    fp4: ['fp4', 'fp8', 'bf16'],
    fp8: ['fp8', 'bf16'],
    int8: ['int8', 'bf16'],
    bf16: ['bf16'],
  } as const;
  for (const name of order[multiplier]) {
    const peak = peaks[name];
    if (peak !== undefined) return peak;
  }
  return NaN;
}

/** Time of the multiplications alone and of the memory alone, us, at the printed peaks. */
export function idealUs(
  { flop, bytes, dtype }: Work,
  hardware: Profile,
): { compute: number; memory: number } {
  return {
    compute: flop / (peakTflops(hardware, dtype) * 1e6),
    memory: bytes / (hardware.memory.gbPerS * 1e3),
  };
}

/** Which format each part of a model has under a name such as fp8, as released checkpoints have it. */
import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import { dtypeNamed, type Dtype } from '../../hardware/dtypes.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';

export const PRECISIONS = ['bf16', 'fp8', 'fp4', 'int4', 'int8'] as const;
export type Precision = (typeof PRECISIONS)[number];

const SPELLINGS: Readonly<Record<string, Precision>> = {
  bf16: 'bf16',
  bfloat16: 'bf16',
  fp16: 'bf16',
  f16: 'bf16',
  float16: 'bf16',
  half: 'bf16',
  fp8: 'fp8',
  fp8block: 'fp8',
  fp8blockwise: 'fp8',
  f8: 'fp8',
  float8: 'fp8',
  fp8e4m3: 'fp8',
  fp8static: 'fp8',
  w8a8fp8: 'fp8',
  fp4: 'fp4',
  nvfp4: 'fp4',
  mxfp4: 'fp4',
  w4a16mxfp4: 'fp4',
  w4a8mxfp4mxfp8: 'fp4',
  w4a4nvfp4: 'fp4',
  int4: 'int4',
  w4a16: 'int4',
  int8: 'int8',
  w8a8: 'int8',
};

/** @throws ConfigError for a precision that there is not. */
export function precisionNamed(text: string): Precision {
  const found = SPELLINGS[text.toLowerCase().replace(/[^a-z0-9]/g, '')];
  if (found !== undefined) return found;
  throw new ConfigError(
    `There is no precision ${quoted(text)}${didYouMean(text, PRECISIONS)}. There are: ${PRECISIONS.join(', ')}.`,
  );
}

export interface Formats {
  /** Of projections, dense and shared feed-forward parts. */
  readonly dense: Dtype;
  readonly experts: Dtype;
  /** Of keys and values. */
  readonly cache: Dtype;
  readonly head: Dtype;
}

/**
 * Four bits are for experts, in a mixture: its projections stay in 16 bits, as in the released checkpoints of gpt-oss, Kimi
 * and NVIDIA's DeepSeek. A GPU without units for four bits multiplies in 16.
 */
export function formatsOf(model: ModelFacts, precision: Precision, hardware: Profile): Formats {
  const wide = dtypeNamed('bf16');
  const block = model.attention.kind === 'latent' || /qwen3|minimax|glm/.test(model.name);
  const narrow = {
    bf16: 'bf16',
    fp8: block ? 'fp8_block' : 'fp8',
    fp4:
      hardware.peakTflops.fp4 === undefined
        ? 'w4a16_mxfp4'
        : /gpt-oss/.test(model.name)
          ? 'w4a8_mxfp4_mxfp8'
          : 'nvfp4',
    int4: 'w4a16_mxfp4',
    int8: 'int8',
  }[precision];
  const experts = dtypeNamed(narrow);
  const four = precision === 'fp4' || precision === 'int4';
  const dense = four && mixtureLayers(model) > 0 ? wide : experts;
  return {
    dense,
    experts,
    cache: precision === 'fp4' && model.attention.kind === 'latent' ? dtypeNamed('fp8') : wide,
    head: wide,
  };
}

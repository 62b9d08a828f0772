/** Which format each part of a model has under a name such as fp8, as released checkpoints have it. */
import { ConfigError } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import { dtypeNamed, formatNamed, type Dtype } from '../../hardware/dtypes.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { mixtureLayers, type ModelFacts } from '../models/facts.ts';

export const PRECISIONS = ['bf16', 'fp8', 'fp4', 'int4', 'int8'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** The precision that a format of kernels belongs to. */
const OF_FORMAT: Readonly<Record<string, Precision>> = {
  bfloat16: 'bf16',
  fp8: 'fp8',
  fp8_block: 'fp8',
  nvfp4: 'fp4',
  w4a16_mxfp4: 'int4',
  w4a8_mxfp4_mxfp8: 'fp4',
  int8: 'int8',
  int8_wo: 'int8',
};

/** By what its checkpoints are called or by the format of its kernels. @throws ConfigError for a precision that there is not. */
export function precisionNamed(text: string): Precision {
  if (/mxfp4/i.test(text)) return 'fp4';
  const found = OF_FORMAT[formatNamed(text)?.name ?? ''];
  if (found !== undefined) return found;
  throw new ConfigError(
    `There is no precision ${quoted(text)}${didYouMean(text, PRECISIONS)}. There are: ${PRECISIONS.join(', ')}.`,
  );
}

/** What the name of a release says of its weights: 'Qwen3-235B-A22B-FP8', 'DeepSeek-R1-NVFP4'. Undefined where it says nothing. */
export function precisionInName(name: string): Precision | undefined {
  const [, word] =
    /(bf16|fp8|fp4|int4|int8|awq|gptq|w4a16|w8a8)(?:[-_ ]?(?:v\d|dynamic|block))?$/i.exec(name) ?? [];
  return word === undefined ? undefined : precisionNamed(word);
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
 * and NVIDIA's DeepSeek. A GPU without units for four bits multiplies in 16. Who multiplies in 8 bits or fewer keeps keys and
 * values in 8, as published recipes start their servers (SemiAnalysisAI/InferenceX 843c625, benchmarks/single_node).
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
    cache: experts.multiplier === 'fp8' || experts.multiplier === 'fp4' ? dtypeNamed('fp8') : wide,
    head: wide,
  };
}

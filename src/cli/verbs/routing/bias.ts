/** The bias controller of an experiment: on the device where there is one, else on the host; then its biases stay. */
import { ConfigError } from '../../../core/errors.ts';
import { range } from '../../../core/math.ts';
import type { Gpu } from '../../../gpu/gpu.ts';
import { trainBiasOnDevice } from '../../../laboratory/layer/controller.ts';
import { openLayer } from '../../../laboratory/layer/open-layer.ts';
import { BIAS_DEFAULTS, trainBias, type TrainedBias } from '../../../laboratory/train-bias.ts';
import { type Choices, tokensOf } from '../../../routing/choices.ts';
import { noiseFloor } from '../../../routing/load.ts';
import { chooseTopK, type GeneratorSpec, logitsOf } from '../../../routing/trace/generate.ts';
import type { LoadedTrace } from './load-trace.ts';

/** What the controller came to on made-up routing. */
export interface BiasReport {
  /** `device`: an engine's router, admission and update; `host`: the same in float64, where no adapter is used. */
  readonly source: 'device' | 'host';
  readonly steps: number;
  readonly tokensPerStep: number;
  /** Of all steps; absent where it falls from 0.02 to 0.001. */
  readonly rate?: number;
  /** The first step below 1.10, from 1. */
  readonly firstBelow?: number;
  /** Of the experts' rows, by step. */
  readonly maxOverMean: readonly number[];
  /** Of as many uniformly routed tokens: no controller comes below it. */
  readonly floor: number;
}

export interface BiasPlan {
  readonly seed: number;
  readonly steps: number;
  readonly rate: number | undefined;
  /** Of the router that runs on the device. */
  readonly width: number;
}

/**
 * The controller runs first, then the experiment's tokens are chosen with its biases, which stay.
 * @throws ConfigError for a trace without logits. @throws CheckError when the device counts or adds wrongly.
 */
export async function biased(
  gpu: Gpu | undefined,
  { generator, choices, name }: LoadedTrace,
  plan: BiasPlan,
): Promise<{ readonly choices: Choices; readonly told: BiasReport }> {
  if (generator === undefined) {
    throw new ConfigError(
      `the balancer bias needs the router's scores of all experts, and ${name} has only what was chosen. Take a generator, as zipf:1.2.`,
    );
  }
  const { numExperts, topK } = choices;
  const { seed, steps, rate } = plan;
  const numTokens = tokensOf(choices);
  const onDevice = gpu !== undefined && numTokens > 0;
  const tokensPerStep = onDevice ? numTokens : BIAS_DEFAULTS.tokensPerStep;
  const options = { steps, tokensPerStep, rate };
  const trained = onDevice
    ? await trainedOn(gpu, generator, { ...plan, numExperts, topK, numTokens })
    : trainBias(generator, { numExperts, topK, seed }, options);
  const next = logitsOf(generator, { numExperts, topK, seed });
  const rows = range(numTokens).map(() => next());
  const { firstBelow, maxOverMean, bias_E } = trained;
  return {
    choices: rows.length === 0 ? choices : chooseTopK(rows, { topK, score: 'sigmoid', bias_E }),
    told: {
      ...{ source: onDevice ? 'device' : 'host', steps, tokensPerStep, maxOverMean },
      ...(rate !== undefined && { rate }),
      ...(firstBelow !== undefined && { firstBelow }),
      floor: 1 + noiseFloor({ numTokens: tokensPerStep, topK, numExperts }).mean,
    },
  };
}

/** Its experts are not run. */
const EXPERT_DIM = 4;

async function trainedOn(
  gpu: Gpu,
  generator: GeneratorSpec,
  plan: BiasPlan & { readonly numExperts: number; readonly topK: number; readonly numTokens: number },
): Promise<TrainedBias> {
  const { numExperts, topK, numTokens, seed, steps, rate } = plan;
  // A quarter of it would do for the logits.
  const modelDim = Math.max(plan.width, 4 * numExperts);
  const layer = await openLayer(
    gpu,
    {
      ...{ numTokens, numExperts, topK, modelDim, expertDim: EXPERT_DIM, ranks: 1 },
      ...{ score: 'sigmoid', weightDtype: 'f32' },
    },
    { balancer: { ...(rate !== undefined && { rate }) } },
  );
  try {
    const next = logitsOf(generator, { numExperts, topK, seed });
    return await trainBiasOnDevice(gpu, layer, next, { steps, tokensPerStep: numTokens, rate });
  } finally {
    layer.destroy();
  }
}

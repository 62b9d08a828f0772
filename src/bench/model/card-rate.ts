/** The rate that the target is judged by: layers of the card model itself, on one rank of this adapter. */
import { messageOf } from '../../core/errors.ts';
import { range } from '../../core/math.ts';
import { seededRandom } from '../../core/random.ts';
import { NS_PER_MS } from '../../core/units.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { planLayout } from '../../layout/layout.ts';
import type { WeightSource } from '../../model/config.ts';
import { presetNamed } from '../../model/presets.ts';
import { syntheticWeights } from '../../model/synthetic.ts';
import { createEngine } from '../../runtime/engine.ts';
import type { Request } from '../../runtime/step/plan.ts';
import { ONE_RANK } from './check.ts';

export type CardRate =
  | {
      readonly state: 'measured';
      readonly clock: 'host';
      readonly tokens: number;
      readonly layers: number;
      readonly modelLayers: number;
      /** Time of a pass of these layers, embedding and logits included, ns. */
      readonly samplesNs: readonly number[];
      /** Of the whole model on one GPU, by sample: what each of N GPUs would pass with perfect scaling. */
      readonly tokensPerMs: readonly number[];
    }
  | { readonly state: 'skipped'; readonly reason: string };

export interface CardRateOptions {
  readonly layers: number;
  readonly sequences: number;
  readonly tokensPerSequence: number;
  readonly samples: number;
  readonly say?: (text: string) => void;
}

/**
 * As many layers as a stage of four has, and the tokens of a micro-batch that the target assumes. How many sequences they
 * are in and how many samples are taken is a guess.
 */
export const CARD_RATE: CardRateOptions = { layers: 4, sequences: 16, tokensPerSequence: 512, samples: 7 };

/**
 * Tokens/ms of a model of `modelLayers` layers when `layers` of them take `ns`. The embedding and the logits are in `ns`
 * and so are counted once per part: the rate is rather too low.
 */
export function cardTokensPerMs(tokens: number, ns: number, layers: number, modelLayers: number): number {
  return tokens / ((ns / NS_PER_MS) * (modelLayers / layers));
}

/** Never throws: an adapter that cannot hold the layers gives no rate. */
export async function measureCardRate(gpu: Gpu, options: CardRateOptions = CARD_RATE): Promise<CardRate> {
  const { layers, sequences, tokensPerSequence, samples, say = () => undefined } = options;
  const card = presetNamed('card').config;
  const config = { ...card, numLayers: layers };
  try {
    say(`random weights of ${layers} layers`);
    const engine = await createEngine(gpu, {
      layout: planLayout(ONE_RANK, config),
      weights: oneLayerForAll(syntheticWeights(config, 1)),
      ...{ maxSequences: sequences, maxLength: tokensPerSequence, weightDtype: 'f16' },
    });
    try {
      const random = seededRandom(7);
      const requests = range(sequences).map((sequence): Request => ({
        sequence,
        ids: range(tokensPerSequence).map(() => random.integer(config.vocabSize)),
      }));
      const samplesNs: number[] = [];
      for (const round of range(samples + 1)) {
        say(round === 0 ? 'first pass' : `pass ${round} of ${samples}`);
        engine.reset();
        const { hostNs } = await engine.forward(requests);
        if (round > 0) samplesNs.push(hostNs);
      }
      const tokens = sequences * tokensPerSequence;
      const rate = (ns: number): number => cardTokensPerMs(tokens, ns, layers, card.numLayers);
      return {
        ...{ state: 'measured', clock: 'host', tokens, layers, modelLayers: card.numLayers },
        ...{ samplesNs, tokensPerMs: samplesNs.map(rate) },
      };
    } finally {
      engine.destroy();
    }
  } catch (error) {
    gpu.requireUsable();
    return { state: 'skipped', reason: `layers of the card model cannot run here: ${messageOf(error)}` };
  }
}

/** Random tensors take longer to make than to use: all layers have the first one's numbers, and their own memory. */
function oneLayerForAll(source: WeightSource): WeightSource {
  const made = new Map<string, ReturnType<WeightSource['get']>>();
  return {
    ...source,
    get: (name) => {
      const own = name.replace(/^model\.layers\.\d+\./, 'model.layers.0.');
      const found = made.get(own) ?? source.get(own);
      made.set(own, found);
      return found;
    },
  };
}

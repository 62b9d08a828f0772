/** A model of the user's for the bench: what it is known to answer is what float64 gives. */
import { ConfigError } from '../../core/errors.ts';
import { range } from '../../core/math.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { parameters } from '../../model/cost.ts';
import { weightShapes } from '../../model/weight-shapes.ts';
import { crossEntropySum } from '../../reference/embedding.ts';
import { referenceModel } from '../../reference/forward.ts';
import type { BenchModel } from './bench-model.ts';
import type { KnownAnswers } from './known-answers.ts';

/** Weights of a model that is held in float64 whole: 2 GiB of memory. A guess. */
const MOST_WEIGHTS = 2 ** 28;

const TEXT =
  'A router sends every token to the few experts that suit it, and their answers are added up. What one rank holds, ' +
  'another may need: rows travel, are multiplied, and travel back. ';
/** Tokens of a prompt, greedy ones after it as many as the bench compares, windows of text and their characters. */
const SIZES = { prompt: 8, greedy: 50, windows: 2, window: 64 };

/** Loads all of a model, with answers of its own. @throws ConfigError for one that float64 cannot hold. */
export async function answeringModel(model: Checkpoint, hostFile: Uint8Array): Promise<BenchModel> {
  const { total } = parameters(model.config);
  if (total > MOST_WEIGHTS) {
    throw new ConfigError(
      `${model.config.name} has ${total} weights; the bench holds its model in float64 whole, at most ${MOST_WEIGHTS}. ` +
        'Check it layer by layer with "moebius check", and time it with "moebius profile --model".',
    );
  }
  const { vocabSize, maxPositions } = model.config;
  if (maxPositions < SIZES.window) {
    throw new ConfigError(
      `${model.config.name} has ${maxPositions} positions; the bench runs ${SIZES.window}. Use a model with more.`,
    );
  }
  // No more tokens than characters: windows of text are counted in those.
  const encode = (text: string): number[] =>
    (model.tokenizer?.encode(text) ?? [...text].map((_, i) => (7 * i + 1) % vocabSize)).slice(0, text.length);
  const whole = await inMemory(model);
  const tokenizer = {
    size: vocabSize,
    decode: () => '',
    stream: () => ({ push: () => '', end: () => '' }),
    ...model.tokenizer,
    encode,
  };
  return {
    model: { ...whole, tokenizer, endIds: model.endIds },
    answers: answersOf(whole, encode),
    checkpoint: hostFile,
  };
}

/** All tensors of a source that reads files, so that they can be had in any order. */
async function inMemory(model: Checkpoint): Promise<Checkpoint> {
  if (model.load === undefined) return model;
  const kept = new Map<string, ReturnType<Checkpoint['get']>>();
  for (const [name] of weightShapes(model.config)) {
    await model.load([name]);
    kept.set(name, model.get(name));
  }
  const { config, origin, tokenizer, endIds } = model;
  return { config, origin, tokenizer, endIds, get: (name) => kept.get(name) ?? model.get(name) };
}

function answersOf(model: Checkpoint, encode: (text: string) => number[]): KnownAnswers {
  const { config } = model;
  const { window } = SIZES;
  const validText = TEXT.repeat(16);
  const truth = referenceModel(model);
  const ids = encode(TEXT).slice(0, SIZES.prompt);
  const { logits_TV, expertIds } = truth.forward(ids);
  return {
    prompts: [
      {
        ...{ text: TEXT, ids, greedy_ids: truth.generate(ids, SIZES.greedy) },
        last_logits: [...logits_TV.subarray(-config.vocabSize)],
        router_top2: expertIds.map((layer) =>
          range(layer.length / config.topK).map((t) => [
            ...layer.subarray(t * config.topK, (t + 1) * config.topK),
          ]),
        ),
      },
    ],
    cross_entropy: {
      window,
      window_nll_sums: range(SIZES.windows).map((i) => {
        const own = encode(validText.slice(i * window, (i + 1) * window));
        return crossEntropySum(truth.forward(own).logits_TV, own.slice(1), config.vocabSize);
      }),
    },
    validText,
  };
}

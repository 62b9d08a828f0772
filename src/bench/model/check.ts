/**
 * The whole model on the ranks of a layout against the same model on one rank and against known answers: logits,
 * expert choices, generated text and loss. V vocabulary, K experts per token.
 */
import { inPieces, type Pieces } from '../../core/async/pieces.ts';
import { messageOf } from '../../core/errors.ts';
import { requireFields, requireGiven, requireGpu } from '../../core/given.ts';
import { at, maxOf, range, sum } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { planLayout } from '../../layout/layout.ts';
import { formatLayout, type LayoutSpec } from '../../layout/spec.ts';
import type { EngineSizing } from '../../memory/engine-plan.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { crossEntropySum } from '../../reference/embedding.ts';
import { referenceModel } from '../../reference/forward.ts';
import { createEngine } from '../../runtime/engine.ts';
import { generate } from '../../runtime/generate.ts';
import type { Request } from '../../runtime/step/plan.ts';
import type { KnownAnswers } from './known-answers.ts';

/** The largest difference of two rows of logits, as a share of the largest logit. A guess. */
export const LOGITS_LIMIT = 2e-3;
/** Nats per character. A guess. */
export const LOSS_LIMIT = 1e-3;
/** Below this gap of router probabilities another precision may choose another expert. A guess. */
export const NEAR_TIE = 1e-4;

export const ONE_RANK: LayoutSpec = { ep: 1, pp: 1, tp: 1, dp: 1 };

export interface ModelCheck {
  readonly what: 'logits' | 'experts' | 'text' | 'cross entropy';
  readonly who: 'sharded' | 'unsharded';
  /** `known` is the model's reference.json; for the experts of the windows of text it is the float64 reference. */
  readonly against: 'known' | 'unsharded';
  readonly pass: boolean;
  /** What was found, short: '1.9e-7', '28/28'. */
  readonly found: string;
  /** What is allowed. */
  readonly limit: string;
}

/**
 * The checks of a model on a layout, and whether all passed; `greedyTokens` is how many tokens each prompt was
 * continued by.
 */
export interface ModelReport {
  readonly model: string;
  readonly layout: string;
  readonly worldSize: number;
  readonly pass: boolean;
  readonly checks: readonly ModelCheck[];
  readonly greedyTokens: number;
  /** Why the model could not be run at all, after kernels had failed: then there are no checks. */
  readonly error?: string;
}

export interface ModelCheckOptions {
  readonly layout: LayoutSpec;
  /** Where the experts lie on its ranks, where not in equal runs. */
  readonly placed?: Placed | undefined;
  readonly answers: KnownAnswers;
  /** Greedy tokens per prompt. */
  readonly tokens: number;
  /** Prompts and windows of text to use at most. */
  readonly prompts: number;
  readonly windows: number;
  readonly say?: (text: string) => void;
}

/** Choices of one text: per layer [T, K], and per layer the gap of every token to the choice of another expert. */
export interface Choices {
  readonly top: readonly ArrayLike<number>[];
  readonly gaps: readonly ArrayLike<number>[];
}

/** Experts anywhere: the numbers stay those of one rank. */
export type Placed = Pick<EngineSizing, 'placement' | 'shares'>;

/** What one engine answers, or what is known. */
export interface Answers {
  /** Per prompt [V]. */
  readonly logits: readonly ArrayLike<number>[];
  /** Per prompt, then per window: per layer [T, K]. */
  readonly experts: readonly (readonly ArrayLike<number>[])[];
  /** Greedy tokens per prompt. */
  readonly text: readonly (readonly number[])[];
  /** Sum of -log p per window. */
  readonly nats: readonly number[];
}

interface Questions {
  readonly prompts: KnownAnswers['prompts'];
  /** Ids of each window of text. */
  readonly windows: readonly (readonly number[])[];
  readonly tokens: number;
  readonly windowLength: number;
}

/**
 * Runs a model on the ranks of a layout and on one rank, and compares both with known answers and with each other.
 * @throws ConfigError for a layout that does not fit the model.
 */
export async function checkModel(
  gpu: Gpu,
  model: Checkpoint,
  options: ModelCheckOptions,
): Promise<ModelReport> {
  requireGpu(gpu);
  requireFields('The model', model, { config: 'record', get: 'function' });
  requireGiven('The options', options, 'record');
  const { answers, layout, tokens, say = () => undefined } = options;
  const questions: Questions = {
    prompts: answers.prompts.slice(0, options.prompts),
    windows: windowsOf(model, answers, options.windows),
    tokens,
    windowLength: answers.cross_entropy.window,
  };
  say('float64');
  const choices = await inPieces(knownChoices(model, questions), gpu.signal);
  const known: Answers = {
    logits: questions.prompts.map((prompt) => prompt.last_logits),
    experts: choices.map(({ top }) => top),
    text: questions.prompts.map((prompt) => prompt.greedy_ids),
    nats: answers.cross_entropy.window_nll_sums.slice(0, questions.windows.length),
  };
  say('one rank');
  const unsharded = await ask(gpu, model, ONE_RANK, questions);
  say(formatLayout(layout));
  const sharded = await ask(gpu, model, layout, questions, options.placed);
  const gaps = choices.map((choice) => choice.gaps);
  const predictions = sum(questions.windows.map((ids) => ids.length - 1));
  const checks = compareAnswers({ sharded, unsharded, known }, gaps, predictions);
  return {
    model: model.config.name,
    layout: formatLayout(layout),
    worldSize: planLayout(layout, model.config).worldSize,
    pass: checks.every(({ pass }) => pass),
    checks,
    greedyTokens: tokens,
  };
}

/**
 * Each of the two against what is known, and the two against each other.
 * @param gaps of the choices, as in `Choices`. @param predictions that the loss is the sum of.
 */
export function compareAnswers(
  { sharded, unsharded, known }: Readonly<Record<'sharded' | 'unsharded' | 'known', Answers>>,
  gaps: readonly Choices['gaps'][],
  predictions: number,
): ModelCheck[] {
  const pairs = [
    ['sharded', 'known', sharded, known],
    ['unsharded', 'known', unsharded, known],
    ['sharded', 'unsharded', sharded, unsharded],
  ] as const;
  return pairs.flatMap(([who, against, got, want]) =>
    [
      logitsCheck(got, want),
      expertsCheck(got, want, gaps),
      textCheck(got, want),
      lossCheck(got, want, predictions),
    ].map((check) => ({ ...check, who, against })),
  );
}

/**
 * As `checkModel`, but when kernels have failed already an error of the model is one more result, not the end of all.
 * @param kernelsPass whether all of them passed: then an error is thrown as it is.
 */
export async function checkModelAfter(
  kernelsPass: boolean,
  gpu: Gpu,
  model: Checkpoint,
  options: ModelCheckOptions,
): Promise<ModelReport> {
  try {
    return await checkModel(gpu, model, options);
  } catch (error) {
    if (kernelsPass) throw error;
    gpu.requireUsable();
    return {
      model: model.config.name,
      layout: formatLayout(options.layout),
      worldSize: planLayout(options.layout, model.config).worldSize,
      pass: false,
      checks: [],
      greedyTokens: options.tokens,
      error: messageOf(error),
    };
  }
}

/** Of the prompts as reference.json has them, of the windows from our own float64 reference. */
function* knownChoices(model: Checkpoint, { prompts, windows }: Questions): Pieces<Choices[]> {
  const truth = referenceModel(model);
  const choices: Choices[] = [];
  for (const { ids, router_top2 } of prompts) {
    const { gaps } = yield* truth.forward.pieces(ids);
    choices.push({ top: router_top2.map((layer) => layer.flat()), gaps });
  }
  for (const ids of windows) {
    const { expertIds, gaps } = yield* truth.forward.pieces(ids);
    choices.push({ top: expertIds, gaps });
  }
  return choices;
}

function windowsOf(model: Checkpoint, answers: KnownAnswers, count: number): number[][] {
  const { window, window_nll_sums: sums } = answers.cross_entropy;
  const chars = [...answers.validText];
  return range(Math.min(count, sums.length)).map((i) => {
    return model.tokenizer?.encode(chars.slice(i * window, (i + 1) * window).join('')) ?? [];
  });
}

async function ask(
  gpu: Gpu,
  model: Checkpoint,
  spec: LayoutSpec,
  questions: Questions,
  placed: Placed = {},
): Promise<Answers> {
  const { prompts, windows, tokens, windowLength } = questions;
  const engine = await createEngine(gpu, {
    layout: planLayout(spec, model.config),
    weights: model,
    maxSequences: Math.max(prompts.length, windows.length),
    maxLength: windowLength,
    ...placed,
  });
  try {
    const requestsOf = (texts: readonly (readonly number[])[]): Request[] =>
      texts.map((ids, sequence) => ({ sequence, ids }));
    const first = await engine.forward(requestsOf(prompts.map(({ ids }) => ids)), { experts: true });
    const text: number[][] = [];
    for (const { ids } of prompts) text.push((await generate(engine, { promptIds: ids, tokens })).ids);
    engine.reset();
    const second = await engine.forward(requestsOf(windows), { logits: 'all', experts: true });
    const nats = windows.map((ids, i) =>
      crossEntropySum(Float64Array.from(at(second.logits, i)), ids.slice(1), model.config.vocabSize),
    );
    return {
      logits: first.logits,
      experts: [...(first.experts ?? []), ...(second.experts ?? [])],
      text,
      nats,
    };
  } finally {
    engine.destroy();
  }
}

type Finding = Pick<ModelCheck, 'what' | 'pass' | 'found' | 'limit'>;

/** Largest difference as a share of the row's largest logit; Infinity for a value that is not finite. */
export function logitsError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Infinity;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < want.length; i++) {
    const delta = Math.abs(at(got, i) - at(want, i));
    if (!Number.isFinite(delta)) return Infinity;
    difference = Math.max(difference, delta);
    size = Math.max(size, Math.abs(at(want, i)));
  }
  return difference / size;
}

function logitsCheck(got: Answers, want: Answers): Finding {
  const worst = maxOf(want.logits.map((row, i) => logitsError(got.logits[i] ?? [], row)));
  const limit = `${LOGITS_LIMIT} relative`;
  return { what: 'logits', pass: worst <= LOGITS_LIMIT, found: worst.toExponential(1), limit };
}

function expertsCheck(got: Answers, want: Answers, gaps: readonly Choices['gaps'][]): Finding {
  let compared = 0;
  let equal = 0;
  gaps.forEach((layers, text) => {
    layers.forEach((gapOfToken, layer) => {
      const wanted = want.experts[text]?.[layer] ?? [];
      const given = got.experts[text]?.[layer] ?? [];
      const topK = wanted.length / gapOfToken.length;
      for (let token = 0; token < gapOfToken.length; token++) {
        if (at(gapOfToken, token) <= NEAR_TIE) continue;
        compared += 1;
        // As sets: nearly equal scores may change places without choosing another expert.
        const same = chosenBy(wanted, token, topK) === chosenBy(given, token, topK);
        if (same && given.length === wanted.length) equal += 1;
      }
    });
  });
  const limit = `all, gap > ${NEAR_TIE}`;
  return { what: 'experts', pass: compared > 0 && equal === compared, found: `${equal}/${compared}`, limit };
}

function chosenBy(ids: ArrayLike<number>, token: number, topK: number): string {
  return range(topK)
    .map((k) => at(ids, token * topK + k))
    .sort((a, b) => a - b)
    .join();
}

function textCheck(got: Answers, want: Answers): Finding {
  const total = sum(got.text.map((ids) => ids.length));
  let equal = 0;
  got.text.forEach((ids, i) => ids.forEach((id, t) => void (equal += Number(id === want.text[i]?.[t]))));
  return {
    what: 'text',
    pass: total > 0 && equal === total,
    found: `${equal}/${total}`,
    limit: 'all',
  };
}

function lossCheck(got: Answers, want: Answers, predictions: number): Finding {
  const error = Math.abs(sum(got.nats) - sum(want.nats)) / predictions;
  const limit = `${LOSS_LIMIT} nats/char`;
  return { what: 'cross entropy', pass: error <= LOSS_LIMIT, found: error.toExponential(1), limit };
}

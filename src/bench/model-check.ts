/**
 * The whole model on the ranks of a layout against the same model on one rank and against known answers: logits,
 * expert choices, generated text and loss. V vocabulary, K experts per token.
 */
import { at, range, sum } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { planLayout } from '../layout/layout.ts';
import { formatLayout, type LayoutSpec } from '../layout/spec.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { crossEntropySum } from '../reference/embedding.ts';
import { referenceModel } from '../reference/forward.ts';
import { createEngine, type Engine } from '../runtime/engine.ts';
import { generate } from '../runtime/generate.ts';
import type { KnownAnswers } from './known-answers.ts';

/** The largest difference of two rows of logits, as a share of the largest logit. */
export const LOGITS_LIMIT = 2e-3;
/** Nats per character. */
export const LOSS_LIMIT = 1e-3;
/** Below this gap of router probabilities another precision may choose another expert. */
export const NEAR_TIE = 1e-4;

export const ONE_RANK: LayoutSpec = { ep: 1, pp: 1, tp: 1, dp: 1 };

export interface ModelCheck {
  /** 'logits after the prompt' */
  readonly what: string;
  /** 'sharded', 'unsharded', or both when they are compared with each other. */
  readonly who: string;
  /** 'reference.json', 'float64', 'unsharded' */
  readonly against: string;
  readonly pass: boolean;
  /** What was found, with its limit, for print. */
  readonly found: string;
}

export interface ModelReport {
  readonly model: string;
  readonly layout: string;
  readonly worldSize: number;
  readonly pass: boolean;
  readonly checks: readonly ModelCheck[];
  readonly greedyTokens: number;
}

export interface ModelCheckOptions {
  readonly layout: LayoutSpec;
  readonly answers: KnownAnswers;
  /** Greedy tokens per prompt. */
  readonly tokens: number;
  /** Prompts and windows of text to use at most. */
  readonly prompts: number;
  readonly windows: number;
  readonly say?: (text: string) => void;
}

/** What one engine answers to the questions of the known answers. */
interface Answers {
  /** Per prompt [V]. */
  readonly logits: readonly Float32Array[];
  /** Per prompt, per layer [T, K]. */
  readonly experts: readonly (readonly Uint32Array[])[];
  /** Per prompt. */
  readonly text: readonly (readonly number[])[];
  /** Sum of -log p per window. */
  readonly nats: readonly number[];
}

export async function checkModel(gpu: Gpu, model: Checkpoint, options: ModelCheckOptions): Promise<ModelReport> {
  const { answers, layout, say = () => undefined } = options;
  const prompts = answers.prompts.slice(0, options.prompts);
  say('one rank');
  const unsharded = await ask(gpu, model, ONE_RANK, options);
  say(formatLayout(layout));
  const sharded = await ask(gpu, model, layout, options);
  const truth = referenceModel(model);
  const checks: ModelCheck[] = [];
  for (const [who, got] of [['sharded', sharded], ['unsharded', unsharded]] as const) {
    const known = prompts.map((prompt) => prompt.last_logits);
    checks.push(logitsCheck(who, 'reference.json', got.logits, known));
    checks.push(
      expertsCheck(
        who,
        got.experts,
        prompts.map(({ ids, router_top2 }) => ({ top: router_top2, gaps: truth.forward(ids).gaps })),
      ),
    );
    checks.push(textCheck(who, 'reference.json', got.text, prompts.map((prompt) => prompt.greedy_ids)));
    checks.push(lossCheck(who, got.nats, answers));
  }
  checks.push(logitsCheck('sharded', 'unsharded', sharded.logits, unsharded.logits));
  checks.push(textCheck('sharded', 'unsharded', sharded.text, unsharded.text));
  return {
    model: model.config.name,
    layout: formatLayout(layout),
    worldSize: planLayout(layout, model.config).worldSize,
    pass: checks.every(({ pass }) => pass),
    checks,
    greedyTokens: options.tokens,
  };
}

async function ask(gpu: Gpu, model: Checkpoint, spec: LayoutSpec, options: ModelCheckOptions): Promise<Answers> {
  const { answers, tokens } = options;
  const prompts = answers.prompts.slice(0, options.prompts);
  const { window } = answers.cross_entropy;
  const windows = windowsOf(model, answers, options.windows);
  const engine = await createEngine(gpu, {
    layout: planLayout(spec, model.config),
    weights: model,
    maxSequences: Math.max(prompts.length, windows.length),
    maxLength: window,
  });
  try {
    const requests = prompts.map(({ ids }, sequence) => ({ sequence, ids }));
    const first = await engine.forward(requests, { experts: true });
    const text: number[][] = [];
    for (const { ids } of prompts) text.push((await generate(engine, { promptIds: ids, tokens })).ids);
    const nats = await lossOf(engine, windows);
    return { logits: first.logits, experts: first.experts ?? [], text, nats };
  } finally {
    engine.destroy();
  }
}

function windowsOf(model: Checkpoint, answers: KnownAnswers, count: number): number[][] {
  const { window, window_nll_sums: sums } = answers.cross_entropy;
  const chars = [...answers.validText];
  return range(Math.min(count, sums.length)).map((i) => {
    return model.tokenizer?.encode(chars.slice(i * window, (i + 1) * window).join('')) ?? [];
  });
}

async function lossOf(engine: Engine, windows: readonly number[][]): Promise<number[]> {
  engine.reset();
  const { logits } = await engine.forward(
    windows.map((ids, sequence) => ({ sequence, ids })),
    { logits: 'all' },
  );
  return windows.map((ids, i) => {
    return crossEntropySum(Float64Array.from(at(logits, i)), ids.slice(1), engine.config.vocabSize);
  });
}

/** Largest difference as a share of the row's largest logit; NaN becomes Infinity. */
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

function logitsCheck(
  who: string,
  against: string,
  got: readonly ArrayLike<number>[],
  want: readonly ArrayLike<number>[],
): ModelCheck {
  const worst = Math.max(...want.map((row, i) => logitsError(got[i] ?? [], row)));
  const found = `largest error ${worst.toExponential(1)} (limit ${LOGITS_LIMIT})`;
  return { what: 'logits', who, against, pass: worst <= LOGITS_LIMIT, found };
}

/** Choices of a prompt: known ones [layer][token][choice], and per layer the gap of every token. */
interface KnownChoices {
  readonly top: readonly (readonly (readonly number[])[])[];
  readonly gaps: readonly ArrayLike<number>[];
}

function expertsCheck(who: string, got: Answers['experts'], want: readonly KnownChoices[]): ModelCheck {
  let compared = 0;
  let different = 0;
  let skipped = 0;
  want.forEach(({ top, gaps }, prompt) => {
    top.forEach((tokens, layer) => {
      tokens.forEach((choices, token) => {
        if (at(at(gaps, layer), token) <= NEAR_TIE) return void skipped++;
        const ids = got[prompt]?.[layer]?.slice(token * choices.length, (token + 1) * choices.length) ?? [];
        compared += 1;
        if (!choices.every((id, k) => ids[k] === id)) different += 1;
      });
    });
  });
  const ties = skipped === 0 ? '' : `, ${skipped} near ties left out`;
  const found = `${compared - different} of ${compared} choices equal${ties}`;
  return { what: 'experts', who, against: 'reference.json', pass: compared > 0 && different === 0, found };
}

function textCheck(
  who: string,
  against: string,
  got: readonly (readonly number[])[],
  want: readonly (readonly number[])[],
): ModelCheck {
  const total = sum(got.map((ids) => ids.length));
  const firstWrong = got.flatMap((ids, i) => {
    const wrong = ids.findIndex((id, t) => id !== want[i]?.[t]);
    return wrong < 0 ? [] : [`prompt ${i} differs at token ${wrong}`];
  });
  const found = firstWrong[0] ?? `${total} greedy tokens equal`;
  return { what: 'text', who, against, pass: total > 0 && firstWrong.length === 0, found };
}

function lossCheck(who: string, nats: readonly number[], answers: KnownAnswers): ModelCheck {
  const { window, window_nll_sums: sums } = answers.cross_entropy;
  const predictions = nats.length * (window - 1);
  const mean = sum(nats) / predictions;
  const error = Math.abs(mean - sum(sums.slice(0, nats.length)) / predictions);
  const found = `${mean.toFixed(6)} nats/char over ${predictions}, off by ${error.toExponential(1)} (limit ${LOSS_LIMIT})`;
  return { what: 'cross entropy', who, against: 'reference.json', pass: nats.length > 0 && error <= LOSS_LIMIT, found };
}

/** What the trained checkpoint must answer on any layout: one routine that every layout test runs whole. */
import { expect } from 'vitest';
import { at, range, sum } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { readKnownAnswers, type KnownAnswers } from '../../src/bench/model/known-answers.ts';
import { loadCheckpoint, type Checkpoint } from '../../src/model/checkpoint.ts';
import { crossEntropySum } from '../../src/reference/embedding.ts';
import { referenceModel, type ForwardResult } from '../../src/reference/forward.ts';
import { createEngine } from '../../src/runtime/engine.ts';
import { generate } from '../../src/runtime/generate.ts';
import { testPlatform } from '../setup/platform.ts';

const FOLDER = 'bench/models/tiny-moe';
const NEAR_TIE = 1e-4;

export interface Fixture {
  readonly gpu: Gpu;
  readonly model: Checkpoint;
  readonly answers: KnownAnswers;
  /** The text of the loss, window by window, and what float64 says of it. */
  readonly windows: readonly { readonly ids: readonly number[]; readonly truth: ForwardResult }[];
}

/** `numWindows`: of the 8 windows of 256 characters; float64 takes half a second for each. */
export async function openFixture(numWindows: number): Promise<Fixture> {
  const platform = testPlatform();
  const readFile = (path: string): Promise<Uint8Array> => platform.readFile(path);
  const model = await loadCheckpoint(FOLDER, readFile);
  const answers = await readKnownAnswers(FOLDER, readFile);
  const truth = referenceModel(model);
  const { window } = answers.cross_entropy;
  const windows = range(numWindows).map((i) => {
    const ids = model.tokenizer?.encode(answers.validText.slice(i * window, (i + 1) * window)) ?? [];
    return { ids, truth: truth.forward(ids) };
  });
  return { gpu: await openGpu(platform), model, answers, windows };
}

/** Logits, greedy text, expert choices and loss on the ranks of `text`, against float64. */
export async function expectTinyMoe({ gpu, model, answers, windows }: Fixture, text: string): Promise<void> {
  const { window, window_nll_sums: sums } = answers.cross_entropy;
  const engine = await createEngine(gpu, {
    layout: planLayout(parseLayout(text), model.config),
    weights: model,
    maxSequences: windows.length,
    maxLength: window,
  });
  try {
    expect(engine.memory.predictedBytes, 'predicted bytes are the live bytes').toBe(engine.memory.liveBytes);
    const prompt = at(answers.prompts, 0);
    const { ids, lastLogits, hostSyncsInLayers } = await generate(engine, {
      promptIds: prompt.ids,
      tokens: 100,
    });
    const largest = Math.max(...prompt.last_logits.map(Math.abs));
    prompt.last_logits.forEach((want, v) => {
      expect(Math.abs(at(lastLogits, v) - want), `${text}: logit ${v}`).toBeLessThanOrEqual(2e-3 * largest);
    });
    expect(ids, `${text}: greedy text`).toEqual(prompt.greedy_ids.slice(0, 100));
    expect(hostSyncsInLayers, `${text}: host syncs`).toBe(0);

    engine.reset();
    const requests = windows.map((w, sequence) => ({ sequence, ids: w.ids }));
    const step = await engine.forward(requests, { logits: 'all', experts: true });
    const nats = windows.map((w, i) =>
      crossEntropySum(Float64Array.from(at(step.logits, i)), w.ids.slice(1), model.config.vocabSize),
    );
    const wanted = sum(sums.slice(0, windows.length));
    const perChar = windows.length * (window - 1);
    expect(Math.abs(sum(nats) - wanted) / perChar, `${text}: cross entropy`).toBeLessThanOrEqual(1e-3);
    expect(wrongChoices(step.experts ?? [], windows, model.config.topK), `${text}: expert choices`).toEqual(
      [],
    );
  } finally {
    engine.destroy();
  }
}

/** Tokens whose experts differ from float64's although its margin is clear. */
function wrongChoices(
  got: readonly (readonly Uint32Array[])[],
  windows: Fixture['windows'],
  topK: number,
): { window: number; layer: number; token: number }[] {
  const wrong: { window: number; layer: number; token: number }[] = [];
  windows.forEach(({ ids, truth }, window) => {
    truth.expertIds.forEach((want, layer) => {
      for (let token = 0; token < ids.length; token++) {
        if (at(at(truth.gaps, layer), token) <= NEAR_TIE) continue;
        const choices = got[window]?.[layer];
        const equal = range(topK).every((k) => choices?.[token * topK + k] === want[token * topK + k]);
        if (!equal) wrong.push({ window, layer, token });
      }
    });
  });
  return wrong;
}

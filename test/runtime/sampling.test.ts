/** Which token comes next: by the largest logit, or by lot at a temperature; and what is no logit ends the text. */
import { describe, expect, test } from 'vitest';
import { range } from '../../src/core/math.ts';
import { seededRandom } from '../../src/core/random.ts';
import { CheckError } from '../../src/core/errors.ts';
import type { Engine } from '../../src/runtime/engine.ts';
import { generate } from '../../src/runtime/generate.ts';
import {
  argmax,
  nextToken,
  requireSampling,
  sample,
  type SamplingOptions,
} from '../../src/runtime/sampling.ts';

test('the largest logit, ties to the lower id', () => {
  expect(argmax([1, 3, 2])).toBe(1);
  expect(argmax([2, 5, 5, 1])).toBe(1);
  expect(argmax([-4, -1, -1])).toBe(1);
  expect(argmax([0, -0])).toBe(0);
});

test.each([NaN, Infinity, -Infinity])('%d is no logit, wherever it stands', (wrong) => {
  for (const logits of [
    [wrong, 1, 2],
    [1, wrong, 2],
    [2, 1, wrong],
  ]) {
    expect(() => argmax(logits)).toThrow(CheckError);
    expect(() => argmax(logits)).toThrow(`Logit ${logits.findIndex((v) => Object.is(v, wrong))} is ${wrong}`);
    expect(() => sample(logits, 1, seededRandom(1))).toThrow(CheckError);
  }
});

/** How often each of the logits is drawn. */
function shares(logits: readonly number[], temperature: number, draws = 20_000): number[] {
  const random = seededRandom(7);
  const counts = logits.map(() => 0);
  for (let draw = 0; draw < draws; draw++) {
    const id = sample(logits, temperature, random);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts.map((count) => count / draws);
}

test('a draw follows softmax(logits / temperature)', () => {
  const logits = [0, Math.log(2), Math.log(5)];
  for (const [temperature, want] of [
    [1, [1 / 8, 2 / 8, 5 / 8]],
    [0.5, [1 / 30, 4 / 30, 25 / 30]],
    [2, [1, Math.SQRT2, Math.sqrt(5)].map((p) => p / (1 + Math.SQRT2 + Math.sqrt(5)))],
  ] as const) {
    shares(logits, temperature).forEach((share, i) => expect(share).toBeCloseTo(want[i] ?? NaN, 1.7));
  }
});

test('large logits do not overflow, and a low temperature takes the largest', () => {
  expect(shares([1000, 999], 1, 4000)[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 1);
  expect(shares([1, 1.5, 1.4], 1e-3, 500)).toEqual([0, 1, 0]);
});

/** An engine whose logits depend on the last token only, and what it was asked. */
function engineOf(logitsAfter: (id: number) => number[]): {
  engine: Engine;
  asked: number[][];
  resets: () => number;
} {
  const asked: number[][] = [];
  let resets = 0;
  const engine = {
    reset: () => (resets += 1),
    forward: (requests: readonly { ids: readonly number[] }[]) => {
      const ids = requests.flatMap((request) => request.ids);
      asked.push([...ids]);
      const logits = [Float32Array.from(logitsAfter(ids.at(-1) ?? 0))];
      return Promise.resolve({ logits, hostNs: 10 ** asked.length, hostSyncsInLayers: 1 });
    },
  };
  const exclusively = (work: (steps: typeof engine) => Promise<unknown>): Promise<unknown> => work(engine);
  return { engine: { ...engine, exclusively } as unknown as Engine, asked, resets: () => resets };
}

test('a text goes on from its own tokens, and the times of prompt and tokens are apart', async () => {
  const { engine, asked, resets } = engineOf((id) => range(4).map((i) => (i === (id + 1) % 4 ? 1 : 0)));
  const seen: [number, number][] = [];
  const result = await generate(engine, {
    promptIds: [3, 0],
    tokens: 3,
    onToken: (id, index) => seen.push([id, index]),
  });
  expect(result.ids).toEqual([1, 2, 3]);
  expect([...result.lastLogits]).toEqual([0, 1, 0, 0]);
  expect(asked).toEqual([[3, 0], [1], [2]]);
  expect(resets()).toBe(1);
  expect(seen).toEqual([
    [1, 0],
    [2, 1],
    [3, 2],
  ]);
  expect([result.prefillNs, result.decodeNs, result.hostSyncsInLayers]).toEqual([10, 1100, 3]);
});

test('without a temperature nothing is left to chance; with one, seeds differ and a seed repeats', async () => {
  const flat = (): number[] => [0, 0.01, 0, 0, 0, 0, 0, 0];
  const text = async (temperature: number, seed: number): Promise<string> => {
    const { ids } = await generate(engineOf(flat).engine, { promptIds: [0], tokens: 12, temperature, seed });
    return ids.join();
  };
  expect(await text(0, 1)).toBe(
    range(12)
      .map(() => 1)
      .join(),
  );
  expect(await text(0, 1)).toBe(await text(0, 2));
  expect(new Set((await text(0.3, 1)).split(',')).size).toBeGreaterThan(2);
  expect(await text(1, 1)).toBe(await text(1, 1));
  expect(await text(1, 1)).not.toBe(await text(1, 2));
  expect(new Set((await text(1, 1)).split(',')).size).toBeGreaterThan(2);
});

test.each([NaN, Infinity])('a text ends at a logit of %d with what is wrong', async (wrong) => {
  const { engine } = engineOf((id) => (id === 1 ? [0, wrong, 0] : [0, 1, 0]));
  await expect(generate(engine, { promptIds: [0], tokens: 5 })).rejects.toThrow(/Logit 1 is .*went wrong/);
  await expect(generate(engine, { promptIds: [0], tokens: 5, temperature: 1 })).rejects.toThrow(CheckError);
});

describe('the choice of a token', () => {
  const drawn = (logits: readonly number[], options: SamplingOptions, seen: readonly number[] = []) => {
    const random = seededRandom(3);
    return new Set(range(2000).map(() => nextToken(logits, seen, options, random)));
  };

  test('top-k keeps the likeliest, ties to the lower id', () => {
    expect([...drawn([1, 3, 2, 3, 0], { temperature: 1, topK: 2 })].sort()).toEqual([1, 3]);
    expect([...drawn([2, 2, 2], { temperature: 1, topK: 1 })]).toEqual([0]);
    expect(drawn([1, 3, 2], { temperature: 5, topK: 9 }).size).toBe(3);
  });

  test('top-p keeps the fewest that together have the probability', () => {
    // Probabilities 0.5, 0.3, 0.2.
    const logits = [0.5, 0.3, 0.2].map(Math.log);
    expect([...drawn(logits, { temperature: 1, topP: 0.49 })]).toEqual([0]);
    expect([...drawn(logits, { temperature: 1, topP: 0.7 })].sort()).toEqual([0, 1]);
    expect([...drawn(logits, { temperature: 1, topP: 0.81 })].sort()).toEqual([0, 1, 2]);
  });

  test('a penalty makes what was said less likely, whatever the sign of its logit', () => {
    const none = seededRandom(0);
    expect(nextToken([3, 2.9], [0, 0], { repetitionPenalty: 1.5 }, none)).toBe(1);
    expect(nextToken([-2, -2.1], [0], { repetitionPenalty: 1.5 }, none)).toBe(1);
    expect(nextToken([3, 2.9], [], { repetitionPenalty: 1.5 }, none)).toBe(0);
  });

  test.each([
    [{ temperature: -1 }, 'temperature (-1)'],
    [{ topK: 0 }, 'topK (0)'],
    [{ topK: 1.5 }, 'topK (1.5)'],
    [{ topP: 0 }, 'topP (0)'],
    [{ topP: 1.01 }, 'topP (1.01)'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty (0)'],
  ])('%j is refused', (options, message) => {
    expect(() => requireSampling(options)).toThrow(message);
  });
});

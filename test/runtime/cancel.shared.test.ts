/** Work that is called off: a clear error at once, nothing left on the device, and whoever comes next finds it as it was. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CancelledError } from '../../src/core/errors.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { presetNamed } from '../../src/model/presets.ts';
import { syntheticWeights } from '../../src/model/synthetic.ts';
import { runOp } from '../../src/ops/ops.ts';
import { createEngine, type Engine, type EngineOptions } from '../../src/runtime/engine.ts';
import { generate } from '../../src/runtime/generate.ts';
import { f32Tensor } from '../../src/tensor/tensor.ts';
import { testPlatform } from '../setup/gpu.ts';

const CONFIG = {
  ...presetNamed('tiny-moe').config,
  ...{ numLayers: 2, modelDim: 32, numHeads: 2, numKvHeads: 2, headDim: 16, expertDim: 16, numExperts: 4 },
  ...{ topK: 2, vocabSize: 40 },
};
const IDS = [3, 1, 4, 1, 5, 9];

let gpu: Gpu;
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => gpu.destroy());
afterEach(() => {
  expect(gpu.ledger.count).toBe(0);
  expect(gpu.ledger.heldByPurpose()).not.toHaveProperty('staging');
});

function engineWith(options: Partial<EngineOptions> = {}): Promise<Engine> {
  const layout = planLayout(parseLayout('ep=2,pp=2,tp=2,dp=1'), CONFIG);
  const weights = syntheticWeights(CONFIG, 1);
  return createEngine(gpu, { layout, weights, maxSequences: 2, maxLength: 16, ...options });
}

/** A signal, how to abort it, and how many listeners it has. */
function watched(): { signal: AbortSignal; abort: (reason?: unknown) => void; listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  const known = new Set<unknown>();
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    if (!known.has(args[1])) count += 1;
    known.add(args[1]);
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    if (known.delete(args[1])) count -= 1;
    remove(...args);
  };
  return { signal, abort: (reason) => controller.abort(reason), listeners: () => count };
}

test('the error is an AbortError of our own that tells the reason', async () => {
  const engine = await engineWith();
  const reason = new Error('the user has left');
  const step = engine.forward([{ sequence: 0, ids: IDS }], { signal: AbortSignal.abort(reason) });
  await expect(step).rejects.toThrow(CancelledError);
  await expect(step).rejects.toMatchObject({ name: 'AbortError', cause: reason });
  await expect(step).rejects.toThrow('The work was cancelled: the user has left.');
  const plain = engine.forward([{ sequence: 0, ids: IDS }], { signal: AbortSignal.abort() });
  await expect(plain).rejects.toThrow(/^The work was cancelled\.$/);
  engine.destroy();
});

describe('an engine', () => {
  test.each([0, 1, 4, 9])('called off while it is made, %i words in, holds nothing', async (after) => {
    const { signal, abort, listeners } = watched();
    let words = 0;
    const say = (): void => void (words++ === after && abort());
    if (after === 0) abort();
    await expect(engineWith({ signal, say })).rejects.toThrow(CancelledError);
    expect(gpu.ledger.count).toBe(0);
    expect(listeners()).toBe(0);
  });

  test('told to be made says what is at hand, and its signal has no say in its steps', async () => {
    const { signal, abort, listeners } = watched();
    const said: string[] = [];
    const engine = await engineWith({ signal, say: (text) => said.push(text) });
    expect(said).toContain('weights of stage 2 of 2');
    const [, done, asked] = /^kernels of the ends: (\d+) of (\d+)$/.exec(said.at(-1) ?? '') ?? [];
    expect(Number(done)).toBeGreaterThan(0);
    expect(done).toBe(asked);
    expect(listeners()).toBe(0);
    abort();
    await engine.forward([{ sequence: 0, ids: IDS }]);
    engine.destroy();
  });

  test('whose step is called off goes on as if it had not been asked', async () => {
    const engine = await engineWith();
    const alone = (await engine.forward([{ sequence: 0, ids: IDS }])).logits;
    engine.reset();
    const { bytes, count } = gpu.ledger;
    for (const experts of [false, true]) {
      const { signal, abort, listeners } = watched();
      const step = engine.forward([{ sequence: 0, ids: [7, 7, 7] }], { signal, experts, timing: 'span' });
      await Promise.resolve();
      abort();
      await expect(step).rejects.toThrow(CancelledError);
      expect(engine.lengthOf(0)).toBe(0);
      expect(gpu.ledger).toMatchObject({ bytes, count });
      expect(listeners()).toBe(0);
    }
    expect((await engine.forward([{ sequence: 0, ids: IDS }])).logits).toEqual(alone);
    engine.destroy();
  });

  test('a step that waits for its turn is called off at once, and the others run', async () => {
    const engine = await engineWith();
    const { signal, abort, listeners } = watched();
    const ended: string[] = [];
    const step = (name: string, own?: AbortSignal): Promise<unknown> =>
      engine.forward([{ sequence: 0, ids: [1] }], own && { signal: own }).then(
        () => ended.push(name),
        (error: unknown) => ended.push(`${name}: ${(error as Error).name}`),
      );
    const steps = [step('first'), step('second', signal), step('third')];
    abort();
    await Promise.all(steps);
    expect(ended).toEqual(['second: AbortError', 'first', 'third']);
    expect([engine.lengthOf(0), listeners()]).toEqual([2, 0]);
    engine.destroy();
  });

  test('a continuation that is called off has told its tokens; the next one is whole', async () => {
    const engine = await engineWith();
    const { signal, abort, listeners } = watched();
    const whole = await generate(engine, { promptIds: IDS, tokens: 6 });
    const told: number[] = [];
    const cut = generate(engine, {
      ...{ promptIds: IDS, tokens: 6, signal },
      onToken: (id) => void (told.push(id) === 3 && abort()),
    });
    await expect(cut).rejects.toThrow(CancelledError);
    expect(told).toEqual(whole.ids.slice(0, 3));
    expect(listeners()).toBe(0);
    expect((await generate(engine, { promptIds: IDS, tokens: 6 })).ids).toEqual(whole.ids);
    engine.destroy();
  });
});

test('of two ops at once the one that is called off ends, and the other gives its result', async () => {
  const values = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => i % 7);
  const tensors = { a: f32Tensor([64, 64], values(4096)), b: f32Tensor([64, 64], values(4096)) };
  const want = await runOp(gpu, 'matmul', tensors);
  // From the very beginning to what is likely to be after the submit.
  for (const turns of [0, 1, 2, 4, 8, 16, 32]) {
    const { signal, abort, listeners } = watched();
    const cut = runOp(gpu, 'matmul', tensors, {}, undefined, { signal });
    const other = runOp(gpu, 'matmul', tensors);
    for (let i = 0; i < turns; i++) await Promise.resolve();
    abort();
    await expect(cut).rejects.toThrow(CancelledError);
    expect((await other).get('c')).toEqual(want.get('c'));
    expect([gpu.ledger.count, listeners()]).toEqual([0, 0]);
  }
});

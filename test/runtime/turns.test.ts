/** An engine that is asked for much at once: every step is right or refused, and waits in its layers are counted. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { oneDeviceTransport } from '../../src/collectives/one-device.ts';
import type { Recorded } from '../../src/collectives/segments.ts';
import type { Transport } from '../../src/collectives/transport.ts';
import { ConfigError, DeviceError } from '../../src/core/errors.ts';
import { at, range } from '../../src/core/math.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { createEngine, type Engine, type EngineOptions } from '../../src/runtime/engine.ts';
import { generate } from '../../src/runtime/generate.ts';
import { Turns } from '../../src/runtime/turns.ts';
import { testPlatform } from '../setup/gpu.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';

const IDS = [30, 27, 25, 17, 27, 10, 0, 5, 9, 2, 11, 4, 30, 1, 8, 3, 22, 6, 7, 12];

let gpu: Gpu;
let engine: Engine;

async function engineOn(text: string, options: Partial<EngineOptions> = {}): Promise<Engine> {
  const model = await loadTinyMoe();
  const layout = planLayout(parseLayout(text), model.config);
  return createEngine(gpu, { layout, weights: model, maxSequences: 4, maxLength: 32, ...options });
}

/** One device for all, since each compiles anew; another where a test has closed it. */
beforeAll(async () => void (gpu = await openGpu(testPlatform())));
afterAll(() => gpu.destroy());
beforeEach(async () => {
  engine = await engineOn('ep=2,pp=2,tp=1,dp=1');
});
afterEach(async () => {
  engine.destroy();
  try {
    gpu.requireUsable();
  } catch {
    gpu = await openGpu(testPlatform());
  }
});

async function oneByOne(): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const id of IDS) all.push(at((await engine.forward([{ sequence: 0, ids: [id] }])).logits, 0));
  engine.reset();
  return all;
}

describe('steps that nobody awaits in between', () => {
  test('20 at once give what they give one by one', async () => {
    const want = await oneByOne();
    const got = await Promise.all(IDS.map((id) => engine.forward([{ sequence: 0, ids: [id] }])));
    expect(got.map(({ logits }) => logits[0])).toEqual(want);
    expect(engine.lengthOf(0)).toBe(IDS.length);
  });

  test('one that is refused leaves the others as they are', async () => {
    const want = await oneByOne();
    const [first, wrong, second] = await Promise.allSettled([
      engine.forward([{ sequence: 0, ids: [at(IDS, 0)] }]),
      engine.forward([{ sequence: 77, ids: [1] }]),
      engine.forward([{ sequence: 0, ids: [at(IDS, 1)] }]),
    ]);
    expect(wrong).toMatchObject({ status: 'rejected', reason: expect.any(ConfigError) as ConfigError });
    expect([first, second]).toMatchObject(
      range(2).map((i) => ({ status: 'fulfilled', value: { logits: [at(want, i)] } })),
    );
  });

  test('what was asked for is what is done, whatever becomes of the array', async () => {
    const [want] = await oneByOne();
    const ids = [at(IDS, 0)];
    const step = engine.forward([{ sequence: 0, ids }]);
    ids[0] = at(IDS, 1);
    expect((await step).logits[0]).toEqual(want);
  });

  test('forgetting sequences in the middle of a step is refused', async () => {
    const step = engine.forward([{ sequence: 0, ids: [1, 2] }]);
    expect(() => engine.reset()).toThrow(/Steps are under way: await them/);
    await step;
    engine.reset();
    expect(engine.lengthOf(0)).toBe(0);
  });

  test('generations at once, and a step between them, each have the engine to themselves', async () => {
    const prompts = [[30, 27, 25], [17, 27], [10]];
    const want = [];
    for (const promptIds of prompts) want.push((await generate(engine, { promptIds, tokens: 4 })).ids);
    const steps: Promise<unknown>[] = [];
    const got = await Promise.all(
      prompts.map((promptIds) =>
        generate(engine, {
          ...{ promptIds, tokens: 4 },
          onToken: () => void steps.push(engine.forward([{ sequence: 0, ids: [3] }])),
        }),
      ),
    );
    expect(got.map(({ ids }) => ids)).toEqual(want);
    expect(steps).toHaveLength(12);
    await Promise.all(steps);
  });
});

describe('an engine that is destroyed', () => {
  test('refuses what waits and what comes later; the step under way is right or refused', async () => {
    const [want] = await oneByOne();
    const under = engine.forward([{ sequence: 0, ids: [at(IDS, 0)] }]);
    const waiting = engine.forward([{ sequence: 0, ids: [at(IDS, 1)] }]);
    const generating = generate(engine, { promptIds: [1], tokens: 2 });
    await Promise.resolve();
    engine.destroy();
    const [first, ...rest] = await Promise.allSettled([under, waiting, generating]);
    if (first.status === 'fulfilled') expect(first.value.logits[0]).toEqual(want);
    else expect(first.reason).toBeInstanceOf(ConfigError);
    for (const end of rest) {
      expect(end).toMatchObject({ status: 'rejected', reason: expect.any(ConfigError) as ConfigError });
    }
    await expect(engine.forward([{ sequence: 0, ids: [1] }])).rejects.toThrow(
      /engine was destroyed\. Create/,
    );
    expect(() => engine.reset()).toThrow(/engine was destroyed/);
    expect(gpu.ledger.bytes).toBe(0);
  });

  test('a device that is closed under it ends every step with a reason', async () => {
    const steps = range(3).map(() => engine.forward([{ sequence: 0, ids: [1] }]));
    gpu.destroy();
    for (const end of await Promise.allSettled(steps)) {
      expect(end).toMatchObject({ status: 'rejected', reason: expect.any(DeviceError) as DeviceError });
    }
    await expect(engine.forward([{ sequence: 0, ids: [1] }])).rejects.toThrow(/was closed/);
  });
});

describe('waits in the layers', () => {
  /** A transport that does `something` where it would hand over between stages. */
  async function handingOver(something: () => void): Promise<Engine> {
    const honest = await oneDeviceTransport(gpu);
    const transport: Transport = new Proxy(honest, {
      get: (target, name) => {
        const own: unknown = Reflect.get(target, name);
        if (name !== 'sendReceive') return typeof own === 'function' ? (own.bind(target) as unknown) : own;
        return (...args: Parameters<Transport['sendReceive']>): Recorded => ({
          record: (commands) => {
            something();
            target.sendReceive(...args).record(commands);
          },
        });
      },
    });
    return engineOn('ep=2,pp=2,tp=1,dp=1', { transport });
  }

  test.each([
    ['nothing', () => undefined, 0],
    ['our own wait', () => void gpu.sync(), 1],
    ["the queue's own", () => void gpu.device.queue.onSubmittedWorkDone(), 1],
    ['an error scope', () => (gpu.device.pushErrorScope('validation'), void gpu.device.popErrorScope()), 1],
    [
      'a mapping',
      () => {
        const buffer = gpu.device.createBuffer({ size: 16, usage: 9 });
        void buffer.mapAsync(GPUMapMode.READ).then(() => buffer.destroy());
      },
      1,
    ],
  ])('%s', async (_what, something, waits) => {
    let calls = 0;
    const other = await handingOver(() => {
      calls += 1;
      something();
    });
    const { hostSyncsInLayers } = await other.forward([{ sequence: 0, ids: [1, 2, 3] }]);
    expect(calls).toBeGreaterThan(0);
    expect(hostSyncsInLayers).toBe(waits * calls);
    await gpu.sync();
    other.destroy();
  });

  test('times of passes are read after the layers', async () => {
    const step = await engine.forward([{ sequence: 0, ids: [1, 2, 3] }], { timing: 'dispatch' });
    expect(step.hostSyncsInLayers).toBe(0);
    if (gpu.has('timestamp-query')) expect(step.spans).toHaveLength(step.dispatches);
    const timed = gpu.has('timestamp-query') ? ['query-sets'] : [];
    expect(Object.keys(gpu.ledger.heldByPurpose()).sort()).toEqual(['params', ...timed]);
  });
});

test('turns go on after one that failed', async () => {
  const turns = new Turns();
  const order: number[] = [];
  const all = [1, 2, 3].map((i) =>
    turns.take(async () => {
      await Promise.resolve();
      order.push(i);
      if (i === 2) throw new Error('two');
      return i;
    }),
  );
  expect(turns.busy).toBe(true);
  expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
  ]);
  expect([order, turns.busy]).toEqual([[1, 2, 3], false]);
});

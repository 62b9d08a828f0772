/** A step whose collectives must be waited for: the same bits, in more submits, and it may fail or lose its engine. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTurn, runSegments, type Segment } from '../../src/collectives/segments.ts';
import { openGpu, type Gpu } from '../../src/gpu/gpu.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import { createEngine, type Engine, type EngineOptions } from '../../src/runtime/engine.ts';
import { testPlatform } from '../setup/gpu.ts';
import { loadTinyMoe } from '../model/tiny-moe.ts';
import { hostTransport } from './host-transport.ts';

let gpu: Gpu;
let model: Checkpoint;

beforeAll(async () => {
  const platform = testPlatform();
  gpu = await openGpu(platform);
  model = await loadTinyMoe();
});
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  gpu.destroy();
});

const engineOn = (text: string, options: Partial<EngineOptions> = {}): Promise<Engine> =>
  createEngine(gpu, {
    layout: planLayout(parseLayout(text), model.config),
    weights: model,
    maxSequences: 4,
    maxLength: 16,
    ...options,
  });

const REQUESTS = [
  { sequence: 0, ids: [30, 27, 25, 17, 27] },
  { sequence: 1, ids: [5] },
  { sequence: 3, ids: [1, 2, 3] },
];

test.each([
  ['ep=4,pp=2,tp=2,dp=1', {}],
  ['ep=4,pp=1,tp=2,dp=2', { mostOwners: 1 }],
  ['ep=2,pp=2,tp=1,dp=1', { microBatches: 2 }],
  ['ep=1,pp=3,tp=1,dp=1', {}],
])('rows moved by the host on %s %j give the bits of one device', async (text, options) => {
  const honest = await engineOn(text, options);
  const transport = hostTransport(gpu);
  const awaited = await engineOn(text, { ...options, transport });
  for (const requests of [REQUESTS, [{ sequence: 1, ids: [7, 8] }]]) {
    const want = await honest.forward(requests, { logits: 'all', experts: true });
    const got = await awaited.forward(requests, { logits: 'all', experts: true, timing: 'span' });
    expect(got.logits).toEqual(want.logits);
    expect(got.experts).toEqual(want.experts);
    expect(want.hostSyncsInLayers).toBe(0);
    expect(got.hostSyncsInLayers).toBeGreaterThan(0);
    expect(got.dispatches).toBeLessThanOrEqual(want.dispatches);
  }
  const exchanges = text.startsWith('ep=1') ? [] : ['allGather', 'dispatchRows', 'returnRows'];
  expect(transport.calls).toEqual(expect.arrayContaining(exchanges));
  honest.destroy();
  awaited.destroy();
});

test('an engine that is destroyed while a collective is under way still gives the step its result', async () => {
  let reached: () => void = () => undefined;
  let release: () => void = () => undefined;
  const atFirst = new Promise<void>((resolve) => (reached = resolve));
  const held = new Promise<void>((resolve) => (release = resolve));
  const transport = hostTransport(gpu, () => {
    reached();
    return held;
  });
  const honest = await engineOn('ep=2,pp=2,tp=2,dp=1');
  const engine = await engineOn('ep=2,pp=2,tp=2,dp=1', { transport });
  const step = engine.forward(REQUESTS);
  const late = expect(engine.forward(REQUESTS)).rejects.toThrow(/was destroyed/);
  await atFirst;
  engine.destroy();
  release();
  expect((await step).logits).toEqual((await honest.forward(REQUESTS)).logits);
  await late;
  honest.destroy();
});

test('a collective that fails ends its step; the next one goes on from where the sequences were', async () => {
  let failing = true;
  const transport = hostTransport(gpu, () =>
    failing ? Promise.reject(new Error('a cut link')) : Promise.resolve(),
  );
  const engine = await engineOn('ep=2,pp=1,tp=2,dp=1', { transport });
  await expect(engine.forward(REQUESTS)).rejects.toThrow('a cut link');
  expect(engine.lengthOf(0)).toBe(0);
  failing = false;
  const honest = await engineOn('ep=2,pp=1,tp=2,dp=1');
  expect((await engine.forward(REQUESTS)).logits).toEqual((await honest.forward(REQUESTS)).logits);
  engine.destroy();
  honest.destroy();
});

test('what is recorded shares a list up to what must be awaited', async () => {
  const order: string[] = [];
  const recorded = (name: string): Segment => ({ record: () => order.push(name) });
  const awaited = (name: string): Segment => ({
    run: async () => {
      await Promise.resolve();
      order.push(name);
    },
  });
  const run = (segments: readonly Segment[]): Promise<void> | undefined =>
    runSegments(
      segments,
      () => (order.push('open'), gpu.commands('test')),
      () => order.push('submit'),
    );
  expect(run([recorded('a'), recorded('b')])).toBeUndefined();
  expect(order.splice(0)).toEqual(['open', 'a', 'b', 'submit']);
  await run([recorded('a'), awaited('b'), awaited('c'), recorded('d'), recorded('e')]);
  expect(order.splice(0)).toEqual(['open', 'a', 'submit', 'b', 'c', 'open', 'd', 'e', 'submit']);
  await run([awaited('a')]);
  expect(order.splice(0)).toEqual(['a']);
  expect(run([])).toBeUndefined();
  expect(order).toEqual([]);
});

test('in turn: at once until there is something to wait for', async () => {
  const seen: number[] = [];
  const work = (wait: number) => (n: number) => (seen.push(n), n === wait ? Promise.resolve() : undefined);
  expect(inTurn([1, 2, 3], work(0))).toBeUndefined();
  expect(seen.splice(0)).toEqual([1, 2, 3]);
  const rest = inTurn([1, 2, 3], work(2));
  expect(seen).toEqual([1, 2]);
  await rest;
  expect(seen).toEqual([1, 2, 3]);
});

/** Waiting for the adapter without taking a core from it. */
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { fmaProbe } from '../../src/kernels/probes.ts';
import { restAfter, restingImmediate, restWhile } from '../../src/platform/node/polling.ts';
import { openGpu } from '../../src/gpu/gpu.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';

/** Native code's function for JavaScript looks like this; none can be made here. */
function dawnsQuestion(body: () => void): () => void {
  const question = (): void => body();
  Object.defineProperties(question, { name: { value: '' }, prototype: { value: {} } });
  return new Proxy(question, {});
}

describe('rests', () => {
  test.each([
    [0, 0],
    [0.05, 0],
    [1, 0.05],
    [16, 0.25],
    [1000, 0.5],
  ])('after %d ms of waiting: %d ms', (waited, rest) => {
    expect(restAfter(waited)).toBe(rest);
  });

  test('grow along one wait and start anew with the next', () => {
    const rests: number[] = [];
    const queue: (() => void)[] = [];
    let now = 0;
    const immediate = restingImmediate(
      (callback) => {
        queue.push(() => callback());
        return {} as NodeJS.Immediate;
      },
      { now: () => now, rest: (ms) => rests.push(ms) },
    );
    let pending = 4;
    const question = dawnsQuestion(() => {
      now += 16;
      if (--pending > 0) immediate(question);
    });
    immediate(question);
    while (queue.length > 0) queue.shift()?.();
    expect(rests).toEqual([0.25, 0.5, 0.5]);
    pending = 2;
    immediate(question);
    while (queue.length > 0) queue.shift()?.();
    expect(rests.slice(3)).toEqual([0.25]);
  });

  test('are for native questions only: a promise and a function of the program pass at once, with their arguments', () => {
    const passed: unknown[] = [];
    const immediate = restingImmediate(
      (callback, ...args) => {
        passed.push(callback, ...args);
        return {} as NodeJS.Immediate;
      },
      { now: () => expect.unreachable(), rest: () => expect.unreachable() },
    );
    const own = (): void => undefined;
    immediate(own, 1, 2);
    void new Promise((resolve) => immediate(resolve));
    expect(passed.slice(0, 3)).toEqual([own, 1, 2]);
    expect(passed).toHaveLength(4);
  });
});

describe('a wait for the adapter', () => {
  test('leaves the processor to others', async () => {
    const gpu = await openGpu(nodePlatform());
    // One workgroup keeps one thread of a software adapter busy: a second busy one would be ours.
    const lanes = 64;
    const kernel = await gpu.kernel(fmaProbe, { WG: lanes, FUSED: false, WIDE: false });
    const y = gpu.elements('polling/y', 4 * lanes);
    const run = async (steps: number): Promise<{ wallMs: number; cpuMs: number }> => {
      const [before, start] = [process.cpuUsage(), performance.now()];
      const commands = gpu.commands('polling');
      commands.dispatch(kernel, { lanes, steps, two: 2, one: 1, half: 0.5 }, { y });
      commands.submit();
      await gpu.sync();
      const { user, system } = process.cpuUsage(before);
      return { wallMs: performance.now() - start, cpuMs: (user + system) / 1000 };
    };
    await run(8);
    const { wallMs, cpuMs } = await run(2 ** 21);
    expect(wallMs).toBeGreaterThan(20);
    expect(cpuMs / wallMs).toBeLessThan(1.5);
    y.destroy();
  });

  test('keeps what else setImmediate can, and leaves it as it was', async () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, 'setImmediate');
    const gpu = await openGpu(nodePlatform());
    const waiting = gpu.sync();
    expect(globalThis.setImmediate).not.toBe(before?.value);
    await expect(promisify(setImmediate)('value')).resolves.toBe('value');
    const never = setImmediate(() => expect.unreachable());
    clearImmediate(never);
    await new Promise((resolve) => setImmediate(resolve));
    await waiting;
    expect(Object.getOwnPropertyDescriptor(globalThis, 'setImmediate')).toEqual(before);
    gpu.destroy();
  });

  test('leaves what another has put there meanwhile', async () => {
    const before = globalThis.setImmediate;
    const mine = Object.assign(before.bind(globalThis), { __promisify__: before.__promisify__ });
    let done: (value: unknown) => void = () => undefined;
    const work = new Promise((resolve) => (done = resolve));
    restWhile(work);
    expect(globalThis.setImmediate).not.toBe(before);
    globalThis.setImmediate = mine;
    try {
      done(undefined);
      await work;
      await new Promise((resolve) => setTimeout(resolve));
      expect(globalThis.setImmediate).toBe(mine);
    } finally {
      globalThis.setImmediate = before;
    }
  });
});

/** What one window of a stopwatch holds: all its passes, on the right clock, and nothing when a reading is void. */
import { expect, test } from 'vitest';
import { stopwatchFor } from '../../src/measure/stopwatch.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';

interface Span {
  /** The path of its shader. */
  readonly kernel: string;
  readonly ns: number | undefined;
}

/** A device whose command lists report these spans, and what was asked of it. */
function deviceWith(spans: readonly Span[]): { gpu: Gpu; timings: (string | undefined)[] } {
  const timings: (string | undefined)[] = [];
  let now = 0;
  const gpu = {
    commands: (_label: string, timing?: string) => {
      timings.push(timing);
      return { span: () => undefined, submit: () => ({ spans: () => Promise.resolve(spans) }) };
    },
    throwPending: () => undefined,
    sync: () => {
      now += 1000;
      return Promise.resolve();
    },
    platform: { now: () => now },
  };
  return { gpu: gpu as unknown as Gpu, timings };
}

const clock = { clock: 'gpu', grainNs: 1, note: '' } as const;
const span = (ns: number | undefined, kernel = ''): Span => ({ kernel, ns });

test('the time of all passes of a window, not of the last or the first', async () => {
  const { gpu, timings } = deviceWith([span(5), span(70), span(900)]);
  let runs = 0;
  const watch = stopwatchFor(gpu, () => void (runs += 1), clock);
  expect(await watch.window(4)).toBe(975);
  expect([runs, watch.clock, timings]).toEqual([4, 'gpu', ['span']]);
});

test('a window with a void pass is void', async () => {
  for (const spans of [
    [span(5), span(undefined)],
    [span(undefined), span(5)],
  ]) {
    expect(await stopwatchFor(deviceWith(spans).gpu, () => undefined, clock).window(1)).toBeUndefined();
  }
});

test('of dispatches only those that are counted, all of them', async () => {
  const spans = [span(1, 'gating/a.wgsl'), span(20, 'experts/b.wgsl'), span(300, 'experts/c.wgsl')];
  const { gpu, timings } = deviceWith(spans);
  const watch = stopwatchFor(gpu, () => undefined, clock, /experts\//);
  expect(await watch.window(1)).toBe(320);
  expect(timings).toEqual(['dispatch']);
  const isVoid = deviceWith([span(1, 'gating/a.wgsl'), span(undefined, 'experts/b.wgsl')]);
  expect(await stopwatchFor(isVoid.gpu, () => undefined, clock, /experts\//).window(1)).toBeUndefined();
  expect(await stopwatchFor(isVoid.gpu, () => undefined, clock, /gating\//).window(1)).toBe(1);
});

test("on the host's clock submission and waiting are inside", async () => {
  const { gpu, timings } = deviceWith([span(5)]);
  let runs = 0;
  const watch = stopwatchFor(gpu, () => void (runs += 1), { ...clock, clock: 'host' });
  expect(await watch.window(3)).toBe(1000);
  expect([runs, watch.clock, timings]).toEqual([3, 'host', [undefined]]);
});

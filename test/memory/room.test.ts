/** What does not fit is refused before anything is read, with what would. */
import { expect, test } from 'vitest';
import { messageOf } from '../../src/core/errors.ts';
import { divisorsOf } from '../../src/core/math.ts';
import { planLayout } from '../../src/layout/layout.ts';
import { parseLayout } from '../../src/layout/spec.ts';
import { CPU_TRAITS } from '../../src/memory/device-traits.ts';
import { planEngine } from '../../src/memory/engine-plan.ts';
import { deviceMemory, totalBytes } from '../../src/memory/lists.ts';
import { requireRoom } from '../../src/memory/room.ts';
import { withLayers } from '../../src/model/files/layers.ts';
import { presetNamed } from '../../src/model/presets.ts';

const { config } = presetNamed('tiny-moe');
const layout = planLayout(parseLayout('ep=4,pp=2'), config);
const SIZING = { maxSequences: 1, maxLength: 32 };

test('what fits takes what is predicted', () => {
  const total = totalBytes(deviceMemory(planEngine(layout, SIZING, CPU_TRAITS), CPU_TRAITS));
  expect(requireRoom(layout, SIZING, CPU_TRAITS, total)).toBe(total);
  expect(requireRoom(layout, SIZING, CPU_TRAITS, undefined)).toBe(total);
});

test('what does not is told the layers and the bits that would, and those do', () => {
  const total = requireRoom(layout, SIZING, CPU_TRAITS, undefined);
  const free = 0.85 * total;
  const refused = (): number => requireRoom(layout, SIZING, CPU_TRAITS, free);
  expect(refused).toThrow(/tiny-moe does not fit: it takes .* \(weights .*\), and .* are free\./);
  expect(refused).toThrow(/It fits with --layers 0-\d, or with --weights (f16|int8|int4)\./);
  let text = '';
  try {
    refused();
  } catch (error) {
    text = String(error);
  }
  const count = Number(/--layers 0-(\d)/.exec(text)?.[1]) + 1;
  const some = (n: number): ReturnType<typeof planLayout> =>
    planLayout({ ...layout.spec, pp: Math.min(2, n) }, withLayers(config, { first: 0, count: n }).config);
  expect(requireRoom(some(count), SIZING, CPU_TRAITS, free)).toBeLessThanOrEqual(free);
  expect(() => requireRoom(some(count + 1), SIZING, CPU_TRAITS, free)).toThrow(/does not fit/);
});

test('a part that cannot be bound is named; nothing helps where nothing fits', () => {
  const narrow = { ...CPU_TRAITS, bindableBytes: 2 ** 12 };
  expect(() => requireRoom(layout, SIZING, narrow, undefined)).toThrow(
    /its \w+\/\S+ takes .*, and this adapter binds 4.00 KiB at once\. Spread it over more ranks/,
  );
});

test('where the experts of a rank cannot be bound, ranks that share them are named, and those fit', () => {
  const one = planLayout(parseLayout('ep=1'), config);
  const items = deviceMemory(planEngine(one, SIZING, CPU_TRAITS), CPU_TRAITS);
  const stack = items.find(({ name }) => name.startsWith('weights/l0/w1'))?.bytes ?? 0;
  const narrow = { ...CPU_TRAITS, bindableBytes: stack / 2 };
  const refused = (): number => requireRoom(one, SIZING, narrow, undefined);
  const found = /--layout (\S+)\.$/.exec(messageOf(caught(refused)))?.[1] ?? '';
  expect(found).toMatch(/^ep=\d+,pp=1,tp=1,dp=1$/);
  const fits = (ep: number): boolean => {
    const on = planLayout({ ...one.spec, ep }, config);
    return caught(() => requireRoom(on, SIZING, narrow, undefined)) === undefined;
  };
  const { ep } = parseLayout(found);
  expect(divisorsOf(config.numExperts).find(fits)).toBe(ep);
});

function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

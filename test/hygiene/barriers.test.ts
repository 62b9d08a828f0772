/** Every barrier is needed, and those that are there suffice: whatever the order in which an adapter runs its lanes. */
import { describe, expect, test } from 'vitest';
import { testPlatform } from '../setup/gpu.ts';
import { scenes } from './barrier-scenes.ts';
import { racesOf, withoutEachBarrier } from './races.ts';

const platform = testPlatform();
const withBarriers = platform
  .shaderPaths()
  .filter((path) => withoutEachBarrier(platform.shaderSource(path)).length > 0);

test('the scan finds barriers', () => {
  expect(withBarriers).toContain('attention/flash.wgsl');
});

describe.each(withBarriers)('%s', (path) => {
  const source = platform.shaderSource(path);
  const own = scenes.filter(({ shader }) => `${shader}.wgsl` === path);

  test('does not race', () => {
    expect(own.length).toBeGreaterThan(0);
    expect(own.flatMap((scene) => racesOf(source, scene))).toEqual([]);
  });

  test.each(withoutEachBarrier(source))('races without the barrier of line $line', ({ text }) => {
    expect(own.some((scene) => racesOf(text, scene).length > 0)).toBe(true);
  });
});

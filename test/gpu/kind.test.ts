/** One switch: kernels as for a GPU, or as for a CPU adapter, on whatever adapter there is. */
import { afterEach, expect, test, vi } from 'vitest';
import { ConfigError } from '../../src/core/errors.ts';
import { Gpu, openGpu } from '../../src/gpu/gpu.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';
import type { AdapterKind, KernelKind, Platform } from '../../src/platform/platform.ts';
import { cacheOf } from '../../src/tune/tune.ts';
import { testPlatform } from '../setup/gpu.ts';

let gpu: Gpu | undefined;
afterEach(() => {
  gpu?.destroy();
  gpu = undefined;
  vi.unstubAllEnvs();
});

/** The test's adapter, which says that it is of `kind`. */
function saying(kind: AdapterKind, kernelKind?: KernelKind): Platform {
  const platform = testPlatform();
  return {
    name: platform.name,
    kernelKind,
    openAdapter: async (choice) => {
      const open = await platform.openAdapter(choice);
      return { ...open, facts: { ...open.facts, kind } };
    },
    shaderSource: (path) => platform.shaderSource(path),
    shaderPaths: () => platform.shaderPaths(),
    readFile: (path) => platform.readFile(path),
    deviceClosed: () => platform.deviceClosed?.(),
    now: () => platform.now(),
  };
}

test.each([
  ['gpu', 'gpu'],
  ['software', 'software'],
  ['embedded-software', 'software'],
  ['unknown', 'software'],
] as const)('an adapter of kind %s runs kernels for kind %s', async (kind, kernels) => {
  gpu = await openGpu(saying(kind));
  expect([gpu.kernelsFor, gpu.facts.kind]).toEqual([kernels, kind]);
});

test('the switch changes the kernels, not what the adapter is, and says so', async () => {
  gpu = await openGpu(saying('software', 'gpu'));
  expect([gpu.kernelsFor, gpu.facts.kind, gpu.rowLanes]).toEqual(['gpu', 'software', 64]);
  expect(gpu.facts.search.at(-1)).toMatch(/as for kind gpu, as was asked/);
  const clock = { clock: 'host', grainNs: 1, note: '' } as const;
  expect(cacheOf(gpu, clock, '0', []).adapter.kernels).toBe('gpu');
});

test('as the adapter is, nothing is said', async () => {
  gpu = await openGpu(saying('software', 'software'));
  expect(gpu.facts.search.join(' ')).not.toMatch(/as was asked/);
  expect(gpu.facts.kernels).toBeUndefined();
});

test('MOEBIUS_KIND is the switch, and another word is refused', async () => {
  vi.stubEnv('MOEBIUS_KIND', 'gpu');
  expect(nodePlatform().kernelKind).toBe('gpu');
  vi.stubEnv('MOEBIUS_KIND', '');
  expect(nodePlatform().kernelKind).toBeUndefined();
  vi.stubEnv('MOEBIUS_KIND', 'GPU');
  await expect(openGpu(nodePlatform())).rejects.toThrow(/MOEBIUS_KIND is "GPU"; it is "gpu", "software"/);
  await expect(openGpu(nodePlatform())).rejects.toThrow(ConfigError);
});

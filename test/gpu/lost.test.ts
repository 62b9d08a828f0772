/** A device that is lost is not forgotten: whoever waits next is told, and why. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';
import type { OpenAdapter } from '../../src/platform/platform.ts';

// The constants' object exists only once an adapter is open.
beforeEach(() => void vi.stubGlobal('GPUShaderStage', { COMPUTE: 4 }));
afterEach(() => void vi.unstubAllGlobals());

/** As much of a device as opening takes; it is lost for the given reason. */
function lostDevice(reason: GPUDeviceLostReason, message: string): GPUDevice {
  const device = {
    lost: Promise.resolve({ reason, message }),
    features: new Set(),
    limits: {},
    createBindGroupLayout: () => ({}),
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    destroy: () => undefined,
    queue: { onSubmittedWorkDone: () => Promise.resolve() },
  };
  return device as unknown as GPUDevice;
}

function gpuOn(device: GPUDevice): Gpu {
  const facts = { name: 'x', kind: 'software', driver: '', vendor: '', architecture: '' };
  return new Gpu({ facts } as unknown as OpenAdapter, device, nodePlatform());
}

test('the next wait names the reason', async () => {
  const gpu = gpuOn(lostDevice('unknown', 'the driver was reset'));
  await expect(gpu.sync()).rejects.toThrow(/lost.*the driver was reset/s);
});

test('a device that was destroyed on purpose reports nothing', async () => {
  const gpu = gpuOn(lostDevice('destroyed', 'Device was destroyed.'));
  await expect(gpu.sync()).resolves.toBeUndefined();
});

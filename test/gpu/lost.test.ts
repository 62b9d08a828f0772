/** A device that is lost is not forgotten: whoever waits next is told, and why. */
import { afterEach, expect, test, vi } from 'vitest';
import { ConfigError, DeviceError } from '../../src/core/errors.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { OpenDevice } from '../../src/gpu/open-device.ts';
import { nodePlatform } from '../../src/platform/node/node.ts';
import type { OpenAdapter } from '../../src/platform/platform.ts';

// The constants' object exists only once an adapter is open.
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
  return new Gpu(new OpenDevice({ facts } as unknown as OpenAdapter, device, nodePlatform()));
}

test('the next wait names the reason', async () => {
  const gpu = gpuOn(lostDevice('unknown', 'the driver was reset'));
  await expect(gpu.sync()).rejects.toThrow(/lost.*the driver was reset/s);
});

test('a loss that is told after what it made fail is the reason all the same', async () => {
  let lose: (info: GPUDeviceLostInfo) => void = () => undefined;
  const lost = new Promise<GPUDeviceLostInfo>((resolve) => (lose = resolve));
  const gpu = gpuOn({ ...lostDevice('unknown', ''), lost });
  const refused = gpu.state.wait('Compiling', Promise.reject(new ConfigError('refused')));
  setTimeout(() => lose({ reason: 'unknown', message: 'it crashed' } as GPUDeviceLostInfo), 1);
  await expect(refused).rejects.toThrow(/^The device of x was lost: it crashed/);
  const other = gpuOn({ ...lostDevice('unknown', ''), lost: new Promise(() => undefined) });
  await expect(other.state.wait('Compiling', Promise.reject(new ConfigError('no')))).rejects.toThrow(/^no$/);
});

test('every later use says so, and an error that came before it is told along', async () => {
  const gpu = gpuOn(lostDevice('unknown', ''));
  await Promise.resolve();
  for (const use of [
    () => gpu.buffer('x', 4),
    () => gpu.upload('x', Float32Array.of(1)),
    () => gpu.commands('x'),
    () => gpu.throwPending(),
  ]) {
    expect(use).toThrow(DeviceError);
    expect(use).toThrow(/The device of x was lost: its driver gives no reason\. Open the adapter again\./);
  }
  await expect(gpu.sync()).rejects.toThrow(/lost/);
  await expect(gpu.sync()).rejects.toThrow(/lost/);
});

test('a device that we closed ourselves is closed, not lost', async () => {
  const gpu = gpuOn(lostDevice('destroyed', 'Device was destroyed.'));
  gpu.destroy();
  gpu.destroy();
  await expect(gpu.sync()).rejects.toThrow(/^The device of x was closed/);
});

/** What every command that computes needs: the platform in Node and the chosen adapter. */
import { ConfigError } from '../core/errors.ts';
import { openGpu, type Gpu } from '../gpu/gpu.ts';
import { nodePlatform } from '../platform/node/node.ts';
import type { Platform } from '../platform/platform.ts';
import { quietly } from './quiet.ts';

let known: Platform | undefined;

export function platformHere(): Platform {
  return (known ??= nodePlatform());
}

/** Opens the adapter, runs `work` on it, and frees it. @param adapter `auto` or part of a name. */
export async function withGpu<T>(adapter: string, work: (gpu: Gpu) => Promise<T>): Promise<T> {
  const gpu = await quietly(() => openGpu(platformHere(), adapter)).catch((error: unknown): never => {
    const variable = process.env.MOEBIUS_ADAPTER;
    if (!(error instanceof ConfigError) || adapter !== 'auto' || !variable) throw error;
    throw new ConfigError(`${error.message} MOEBIUS_ADAPTER names it; unset it, or give --adapter.`);
  });
  try {
    return await work(gpu);
  } finally {
    gpu.destroy();
  }
}

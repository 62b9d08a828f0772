/** What every command that computes needs: the platform in Node and the chosen adapter. */
import { anyOf, throwIfCancelled } from '../core/async/cancel.ts';
import { ConfigError } from '../core/errors.ts';
import { openGpu, type Gpu } from '../gpu/gpu.ts';
import { nodePlatform } from '../platform/node/node.ts';
import type { Platform } from '../platform/platform.ts';
import { interruption } from './process/interrupt.ts';
import { quietly } from './process/quiet.ts';

let known: Platform | undefined;

export function platformHere(): Platform {
  return (known ??= nodePlatform());
}

/** Which adapter: `auto`, or part of a name; and what calls the work off, as Ctrl-C does in a program of ours. */
export interface SessionOptions {
  readonly adapter?: string;
  readonly signal?: AbortSignal;
}

/** Opens the adapter, runs `work` on it, and frees it. */
export async function withGpu<T>(options: SessionOptions, work: (gpu: Gpu) => Promise<T>): Promise<T> {
  const { adapter = 'auto' } = options;
  const signal = anyOf(options.signal, interruption());
  throwIfCancelled(signal);
  const gpu = await quietly(() => openGpu(platformHere(), adapter)).catch((error: unknown): never => {
    const variable = process.env.MOEBIUS_ADAPTER;
    if (!(error instanceof ConfigError) || adapter !== 'auto' || !variable) throw error;
    throw new ConfigError(`${error.message} MOEBIUS_ADAPTER names it; unset it, or give --adapter.`);
  });
  try {
    return await work(gpu.under(signal));
  } finally {
    gpu.destroy();
  }
}

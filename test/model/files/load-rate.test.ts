/**
 * Two layers of a Mixtral of 5 GiB go to a device in little more than the time of reading them, and in little more memory
 * than the device's. With MOEBIUS_RUNS; the figures are printed, for times of a busy machine prove nothing.
 */
import { open } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { at, range } from '../../../src/core/math.ts';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { planLayout } from '../../../src/layout/layout.ts';
import { openCheckpoint } from '../../../src/model/checkpoint.ts';
import { parseLayerRun } from '../../../src/model/files/layers.ts';
import { storedDtypes } from '../../../src/model/stored-weights.ts';
import { layerShards, type Shard } from '../../../src/runtime/shards.ts';
import { WeightStore } from '../../../src/runtime/weight-store.ts';
import { isFull } from '../../setup/full.ts';
import { testPlatform } from '../../setup/platform.ts';
import { scratchFolder } from '../../cli/spawn.ts';
import { type FileRun, writeSparseMixtral } from './sparse-mixtral.ts';

const GIB = 2 ** 30;
/** Bytes of a read: about a tensor's into memory of its own, or few that one buffer takes again and again. */
const [READ, REUSED] = [2 ** 27, 2 ** 24];
const ROUNDS = 3;
/** Of a quiet machine it shall be 1.3. */
const MOST_RATIO = 5;

/** Reads the shards' layers, ms. @param reused into one buffer again and again, which no load can: it keeps what it reads. */
async function readAlone(shards: readonly FileRun[], reused = false): Promise<number> {
  const size = reused ? REUSED : READ;
  let buffer = new Uint8Array(size);
  const began = performance.now();
  for (const { path, begin, bytes } of shards) {
    const file = await open(path);
    for (let done = 0; done < bytes; done += size) {
      if (!reused) buffer = new Uint8Array(size);
      await file.read(buffer, 0, Math.min(size, bytes - done), begin + done);
    }
    await file.close();
  }
  return performance.now() - began;
}

/** Loads all layers, ms; and the most that the process had beyond what the device holds. */
async function load(
  gpu: Gpu,
  folder: string,
  experts: number,
): Promise<{ ms: number; bytes: number; above: number }> {
  let [bytes, above] = [0, 0];
  const model = await openCheckpoint(folder, testPlatform(), {
    layers: parseLayerRun('0-1'),
    onRead: (count) => {
      bytes += count;
      above = Math.max(above, process.memoryUsage.rss() - gpu.ledger.bytes);
    },
  });
  const store = new WeightStore(gpu, model);
  try {
    const layout = planLayout({ pp: 1, tp: 1, dp: 1, ep: experts }, model.config);
    const dtypes = storedDtypes(model);
    const shards = range(2 * experts).flatMap((i): Shard[] => {
      const place = { tp: 0, ep: i % experts, owners: 1 };
      return Object.values<Shard>({ ...layerShards(model, layout, dtypes, Math.floor(i / experts), place) });
    });
    const began = performance.now();
    for (const [i, shard] of shards.entries()) await store.get(shard, shards.slice(i + 1, i + 8));
    await store.written();
    await gpu.flush();
    const ms = performance.now() - began;
    return { ms, bytes, above: Math.max(above, process.memoryUsage.rss() - gpu.ledger.bytes) };
  } finally {
    store.destroy();
    await gpu.flush();
    await model.close();
  }
}

test.runIf(isFull)(
  'two layers load in the memory of the device and the time of reading them',
  async ({ annotate }) => {
    const platform = testPlatform();
    // The device's memory and the file's pages are of the machine's.
    const experts = (platform.freeMemory?.() ?? 0) > 13 * GIB ? 8 : 2;
    const folder = await scratchFolder();
    const shards = await writeSparseMixtral(folder, experts);
    const gpu = await openGpu(platform);
    try {
      const times: { read: number; load: number; above: number; bytes: number }[] = [];
      await readAlone(shards);
      for (let round = 0; round < ROUNDS; round++) {
        const { ms, ...rest } = await load(gpu, folder, experts);
        times.push({ read: await readAlone(shards), load: ms, ...rest });
      }
      const ratios = times.map(({ read, load: ms }) => ms / read).sort((a, b) => a - b);
      const { bytes, read, load: ms } = at(times, ROUNDS - 1);
      // Later the allocator has memory of the round before.
      const { above } = at(times, 0);
      const reused = await readAlone(shards, true);
      const told =
        `${(bytes / GIB).toFixed(2)} GiB on ${gpu.facts.name}: read in ${read.toFixed(0)} ms (into one buffer ${reused.toFixed(0)}), loaded in ${ms.toFixed(0)} ms; ` +
        `load / read ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}; ${(above / 2 ** 20).toFixed(0)} MiB beyond the device's`;
      await annotate(told);
      process.stdout.write(`${told}\n`);
      expect(bytes).toBe(shards.reduce((sum, one) => sum + one.bytes, 0));
      expect(above).toBeLessThan(GIB);
      expect(at(ratios, 1)).toBeLessThan(MOST_RATIO);
    } finally {
      gpu.destroy();
    }
  },
  300_000,
);

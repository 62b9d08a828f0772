/** Weights that lie in a file as kernels read them go straight to the device, beside those that are made. */
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigError } from '../../../src/core/errors.ts';
import { range } from '../../../src/core/math.ts';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import { openCheckpoint } from '../../../src/model/checkpoint.ts';
import type { TensorBytes, WeightSource } from '../../../src/model/config.ts';
import { weightNames } from '../../../src/model/config.ts';
import type { Shard, ShardPart } from '../../../src/runtime/shards.ts';
import { WeightStore } from '../../../src/runtime/weight-store.ts';
import { tensor } from '../../../src/tensor/tensor.ts';
import { folderOf } from '../families/checkpoints.ts';
import { testPlatform } from '../../setup/platform.ts';
import { scratchFolder } from '../../cli/spawn.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu(testPlatform());
});
afterAll(() => {
  expect(gpu.ledger.bytes, 'all buffers are returned').toBe(0);
  expect(gpu.ledger.heldByPurpose()).not.toHaveProperty('staging');
  gpu.destroy();
});

const WIDTH = 4096;
/** More than one buffer of the staging takes. */
const ROWS = 1100;
const halves = (rows: number, seed: number): Uint16Array =>
  Uint16Array.from({ length: rows * WIDTH }, (_, i) => (i * 31 + seed * 977) & 0x7fff);

/** A tensor of a file in bf16. @param slow comes back after its own time, so that later ones overtake it. */
function bytesOf(data: Uint16Array, slow = 0): TensorBytes {
  const bytes = new Uint8Array(data.buffer);
  return {
    ...{ dtype: 'bf16', shape: [data.length / WIDTH, WIDTH], byteLength: bytes.length },
    readInto: async (begin, into) => {
      await new Promise((resolve) => setTimeout(resolve, slow));
      into.set(bytes.subarray(begin, begin + into.length));
    },
  };
}

function sourceOf(files: Readonly<Record<string, TensorBytes>>): WeightSource {
  const get = (name: string): never => expect.unreachable(`${name} was made`);
  return { config: {} as WeightSource['config'], origin: 'a test', get, inFile: (name) => files[name] };
}

const straight = (name: string, rows?: { first: number; count: number }): ShardPart => ({
  names: [name],
  make: () => expect.unreachable(`${name} was made`),
  straight: rows === undefined ? { name } : { name, rows },
});
const shardOf = (key: string, rows: number, ...parts: ShardPart[]): Shard => ({
  ...{ key, dtype: 'bf16', shape: [rows, WIDTH], parts },
});

test('parts of files and parts that are made lie one after the other', async () => {
  const [a, b, c] = [halves(ROWS, 1), halves(64, 2), halves(300, 3)];
  const store = new WeightStore(gpu, sourceOf({ a: bytesOf(a, 20), c: bytesOf(c) }));
  const made = { names: [], make: () => tensor('bf16', [64, WIDTH], b) };
  const rows = { first: 17, count: 201 };
  const first = await store.get(shardOf('first', ROWS + 64 + 201, straight('a'), made, straight('c', rows)));
  const second = await store.get(shardOf('second', 300, straight('c')));
  await store.written();
  const cut = c.subarray(17 * WIDTH, 218 * WIDTH);
  const { data } = await gpu.read(first, [ROWS + 64 + 201, WIDTH], 'bf16');
  expect(Buffer.compare(Buffer.from(data.buffer), Buffer.concat([a, b, cut].map(bufferOf)))).toBe(0);
  const other = await gpu.read(second, [300, WIDTH], 'bf16');
  expect(Buffer.compare(Buffer.from(other.data.buffer), bufferOf(c))).toBe(0);
  expect(gpu.ledger.heldByPurpose()).not.toHaveProperty('staging');
  store.destroy();
});

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint16Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

test('what goes wrong with a file is told, and nothing is copied afterwards', async () => {
  const short: TensorBytes = {
    ...bytesOf(halves(ROWS, 1)),
    readInto: () => Promise.reject(new ConfigError('The file has become shorter.')),
  };
  const files = { short, ...Object.fromEntries(range(9).map((i) => [`${i}`, bytesOf(halves(128, i), 5)])) };
  const store = new WeightStore(gpu, sourceOf(files));
  const all = async (): Promise<void> => {
    await store.get(shardOf('short', ROWS, straight('short')));
    for (const i of range(9)) await store.get(shardOf(`${i}`, 128, straight(`${i}`)));
    await store.written();
  };
  await expect(all()).rejects.toThrow(/become shorter/);
  await store.ended();
  store.destroy();
  await gpu.sync();
});

test('a device that is closed meanwhile ends after what writes its memory', async () => {
  const own = await openGpu(testPlatform());
  const store = new WeightStore(own, sourceOf({ a: bytesOf(halves(ROWS, 1), 30) }));
  await store.get(shardOf('a', ROWS, straight('a')));
  own.destroy();
  await expect(store.written()).rejects.toThrow(/was closed/);
  store.destroy();
});

test('a file has its bytes, and fewer where it ends; a copy that gives other numbers has none', async () => {
  const path = `${await scratchFolder()}/file`;
  await writeFile(path, Uint8Array.from(range(100)));
  const file = await testPlatform().openFile?.(path);
  const into = new Uint8Array(8);
  expect([await file?.readInto?.(40, into), ...into]).toEqual([8, ...range(8).map((i) => 40 + i)]);
  expect(await file?.readInto?.(97, into)).toBe(3);
  await file?.close();

  const model = await openCheckpoint(folderOf('qwen3-moe'), testPlatform());
  const name = weightNames.expert(1, 2, 'w2');
  const bytes = model.inFile?.(name);
  await model.load([name]);
  const held = new Uint8Array(bytes?.byteLength ?? 0);
  await bytes?.readInto(0, held);
  expect(bufferOf(model.get(name).data as Uint16Array).compare(held)).toBe(0);
  const tail = new Uint8Array(10);
  await bytes?.readInto(held.length - 10, tail);
  expect(tail).toEqual(held.slice(-10));
  const other: WeightSource = { ...model, get: (asked) => model.get(asked) };
  expect(other.inFile?.(name)).toBeUndefined();
  await model.close();
});

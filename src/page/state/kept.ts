/** What this browser keeps of finished rows and results, in IndexedDB. What it holds is checked like any file. */
import { createStore, del, get, keys, set } from 'idb-keyval';
import * as v from 'valibot';
import { CaseRun, LiveRow, Tile } from '../protocol/reports.ts';

const store = createStore('moebius', 'kept');
const BENCH = 'bench';
const RESULT = 'result/';
/** Result files that are kept; the oldest goes first. A guess. */
const MOST_RESULTS = 12;

const Kept = v.object({
  ...{ date: v.string(), adapter: v.string(), state: v.string(), note: v.string() },
  ...{ tiles: v.array(Tile), rows: v.array(LiveRow), failures: v.array(CaseRun) },
  families: v.array(
    v.object({
      ...{ family: v.string(), runs: v.number(), failed: v.number(), worstShare: v.number() },
      ...{ worst: v.string() },
    }),
  ),
  file: v.optional(v.instance(Uint8Array)),
});
export type Kept = v.InferOutput<typeof Kept>;

/** A browser may keep nothing, as in a private window: then the page goes on without. */
async function quietly<T>(work: () => Promise<T>, without: T): Promise<T> {
  try {
    return await work();
  } catch {
    return without;
  }
}

export async function readKept(): Promise<Kept | undefined> {
  const found = await quietly(() => get<unknown>(BENCH, store), undefined);
  const parsed = v.safeParse(Kept, found);
  return parsed.success ? parsed.output : undefined;
}

export const keep = (bench: Kept): Promise<void> => quietly(() => set(BENCH, bench, store), undefined);

export interface KeptResult {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export async function keepResult({ name, bytes }: KeptResult): Promise<void> {
  await quietly(async () => {
    await set(RESULT + name, bytes, store);
    const names = await resultNames();
    for (const old of names.slice(MOST_RESULTS)) await del(RESULT + old, store);
  }, undefined);
}

/** The newest first. */
export async function resultNames(): Promise<string[]> {
  const all = await quietly(() => keys<string>(store), []);
  return all
    .filter((key) => typeof key === 'string' && key.startsWith(RESULT))
    .map((key) => key.slice(RESULT.length))
    .sort()
    .reverse();
}

export async function keptResult(name: string): Promise<KeptResult | undefined> {
  const bytes = await quietly(() => get<unknown>(RESULT + name, store), undefined);
  return bytes instanceof Uint8Array ? { name, bytes: bytes as Uint8Array<ArrayBuffer> } : undefined;
}

export async function forget(): Promise<void> {
  await quietly(async () => {
    await del(BENCH, store);
    for (const name of await resultNames()) await del(RESULT + name, store);
  }, undefined);
}

/** The trained model that comes with the repository, and what it is known to answer. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { loadCheckpoint, type Checkpoint } from '../../src/model/checkpoint.ts';

export const TINY_MOE = fileURLToPath(new URL('../../bench/models/tiny-moe', import.meta.url));

export const readBytes = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path));

export function loadTinyMoe(): Promise<Checkpoint> {
  return loadCheckpoint(TINY_MOE, readBytes);
}

/** The fields of reference.json that tests compare with. */
export interface KnownAnswers {
  readonly prompts: readonly {
    readonly text: string;
    readonly ids: number[];
    readonly last_logits: number[];
    readonly router_top2: number[][][];
    readonly router_weights: number[][][];
    readonly router_min_gap: number[];
    readonly hidden_norms: number[];
    readonly greedy_ids: number[];
    readonly greedy_text: string;
  }[];
  readonly expert_counts: { readonly counts: number[][]; readonly tokens: number; readonly window: number };
  readonly cross_entropy: {
    readonly nats_per_char: number;
    readonly predictions: number;
    readonly window: number;
    readonly window_nll_sums: number[];
  };
}

export async function knownAnswers(): Promise<KnownAnswers> {
  return JSON.parse(await readFile(`${TINY_MOE}/reference.json`, 'utf8')) as KnownAnswers;
}

export function validText(): Promise<string> {
  return readFile(`${TINY_MOE}/valid.txt`, 'utf8');
}

/** The tiny checkpoints of test/fixtures, and what transformers computes from them. */
import { testPlatform } from '../../setup/platform.ts';

export const FAMILIES = [
  'mixtral',
  'qwen3-moe',
  'qwen2-moe',
  'olmoe',
  'granitemoe',
  'gpt-oss-mxfp4',
  'glm4-moe',
] as const;
/** Without text: ids, greedy ids and logits alone. */
export const UNTOLD = ['dots1', 'minimax-m2', 'ernie4.5-moe'] as const;
export type FamilyName = (typeof FAMILIES)[number] | (typeof UNTOLD)[number];

/** From the root of the checkout: a page reads it below its address. */
export const folderOf = (name: FamilyName): string => `test/fixtures/checkpoints/${name}`;

/** The fields of reference.json that tests compare with. */
export interface FamilyReference {
  readonly eos: number | number[];
  readonly cases: readonly {
    readonly text: string;
    readonly ids: number[];
    readonly greedy: number[];
    readonly greedyText: string;
    readonly logits: number[];
  }[];
  /** Of the second case. */
  readonly routers: readonly {
    readonly layer: number;
    readonly experts: number[][];
    readonly weights: number[][];
  }[];
  readonly sensitivity: readonly {
    readonly without: string;
    readonly set: unknown;
    readonly error: number;
  }[];
}

/** What is known of all. */
export type PlainReference = Pick<FamilyReference, 'sensitivity'> & {
  readonly cases: readonly Pick<FamilyReference['cases'][number], 'ids' | 'greedy' | 'logits'>[];
};

export async function referenceOf(name: FamilyName): Promise<FamilyReference> {
  const bytes = await testPlatform().readFile(`${folderOf(name)}/reference.json`);
  return JSON.parse(new TextDecoder().decode(bytes)) as FamilyReference;
}

/** The worst difference, in parts of the largest of `want`. */
export function errorOf(got: ArrayLike<number>, want: readonly number[]): number {
  let [largest, worst] = [0, 0];
  want.forEach((w, i) => {
    largest = Math.max(largest, Math.abs(w));
    const off = Math.abs((got[i] ?? NaN) - w);
    worst = off <= worst ? worst : off;
  });
  return worst / largest;
}

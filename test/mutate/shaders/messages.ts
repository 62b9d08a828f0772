/** What `mutate:shaders` asks its worker, and what it is told. */
import type { KernelKind } from '../../../src/platform/platform.ts';

/** A case with a variant, as one of two kinds of hardware is given it. */
export interface Pair {
  readonly kind: KernelKind;
  readonly family: string;
  readonly name: string;
  readonly variant: string;
}

export interface Use extends Pair {
  /** What it compiles: what is compiled in, by shader. */
  readonly shaders: Readonly<Record<string, string>>;
  /** FLOP and bytes. */
  readonly work: number;
  /** Of the adapter, of what the case gives and of what is compiled: where it is the same, so is what comes of it. */
  readonly id: string;
}

export interface Run {
  readonly use: Use;
  /** Where little is done in a dispatch. */
  readonly inPieces: boolean;
}

export type Ask =
  | { readonly what: 'survey'; readonly kinds: readonly KernelKind[] }
  | { readonly what: 'barrier'; readonly path: string; readonly text: string }
  /** In their order, to the first that notices. */
  | {
      readonly what: 'bound';
      readonly path: string;
      readonly text: string;
      readonly runs: readonly Run[];
      readonly adapter: string;
    };

/** Who noticed: the search for races, a test, or a case with a variant. */
export type By =
  | { readonly how: 'races' }
  | { readonly how: 'test'; readonly adapter: string }
  | ({ readonly how: 'case'; readonly adapter: string; readonly inPieces?: true } & Pair);

/**
 * `invalid`: it does not compile without. `hung`: it did not end, which a test notices too. `absent`: the adapter lacks
 * what the shader needs.
 */
export interface Fate {
  readonly fate: 'caught' | 'hung' | 'survived' | 'absent' | 'invalid' | 'failed';
  readonly by?: By;
  /** Of what noticed, so that it is known whether it is still the same; of all that did not, where none did. */
  readonly keys?: readonly string[];
  /** By the memory behind an output, which must stay as it is. */
  readonly strict?: boolean;
  readonly message?: string;
}

/** Said before every case, with its key, so that many of them are not taken for one that does not end. */
export interface GoesOn {
  readonly goesOn: string;
}

export const keyOf = ({ use, inPieces }: Run): string => use.id + (inPieces ? ' in pieces' : '');

/** Who noticed, by the run that did. */
export function byRun({ use: { kind, family, name, variant }, inPieces }: Run, adapter: string): By {
  return { how: 'case', adapter, kind, family, name, variant, ...(inPieces && { inPieces }) };
}

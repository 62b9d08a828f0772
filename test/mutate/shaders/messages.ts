/** What `mutate:shaders` asks its worker, and what it is told. */
import type { KernelKind } from '../../../src/platform/platform.ts';

/** A case with a variant, as one of two kinds of hardware is given it. */
export interface Use {
  readonly kind: KernelKind;
  readonly family: string;
  readonly name: string;
  readonly variant: string;
  /** What it compiles: what is compiled in, by shader. */
  readonly shaders: Readonly<Record<string, string>>;
  /** FLOP and bytes. */
  readonly work: number;
}

export type Ask =
  | { readonly what: 'survey'; readonly kinds: readonly KernelKind[] }
  | { readonly what: 'barrier'; readonly path: string; readonly text: string }
  | {
      readonly what: 'bound';
      readonly path: string;
      readonly text: string;
      readonly uses: readonly Use[];
      /** Only when none of those tells. */
      readonly others: readonly Use[];
    };

/**
 * `invalid`: it does not compile without. `hung`: it did not end, which a test notices too. `absent`: the adapter lacks
 * what the shader needs.
 */
export interface Fate {
  readonly fate: 'caught' | 'hung' | 'survived' | 'absent' | 'invalid' | 'failed';
  readonly use?: Use;
  /** By the memory behind an output, which must stay as it is. */
  readonly strict?: boolean;
  /** Where little is done in a dispatch. */
  readonly inPieces?: boolean;
  readonly message?: string;
}

/** Said before every case, so that many of them are not taken for one that does not end. */
export const GOES_ON = 'goes on';

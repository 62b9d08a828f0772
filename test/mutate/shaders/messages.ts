/** What `mutate:shaders` asks its worker, and what it is told. */
import type { KernelKind } from '../../../src/platform/platform.ts';

/** A case with a variant, as one of two kinds of hardware is given it. */
export interface Use {
  readonly kind: KernelKind;
  readonly family: string;
  readonly name: string;
  readonly variant: string;
  /** What it compiles. */
  readonly shaders: readonly string[];
  /** FLOP and bytes. */
  readonly work: number;
}

export type Ask =
  | { readonly what: 'survey'; readonly kinds: readonly KernelKind[] }
  | { readonly what: 'barrier'; readonly path: string; readonly text: string }
  | { readonly what: 'bound'; readonly path: string; readonly text: string; readonly uses: readonly Use[] };

/** `invalid`: it does not compile without. `hung`: it did not end, which a test notices too. */
export interface Fate {
  readonly fate: 'caught' | 'hung' | 'survived' | 'invalid' | 'failed';
  readonly use?: Use;
  /** Only with memory behind the outputs that must stay as it is. */
  readonly strict?: boolean;
  readonly message?: string;
}

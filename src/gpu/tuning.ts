/**
 * Advice on which of several kernels to take. It is measured elsewhere and asked where a kernel is chosen; the device
 * carries it, so that nothing between the front end and the kernels has to know of it.
 */

/** One kernel that could be taken. */
export interface TuningCandidate {
  readonly name: string;
  /** Path of its shader: advice about a kernel holds for the text that was measured. */
  readonly shader: string;
  /** Its text, where it is none of ours. */
  readonly text?: string;
}

/** Fingerprint of a shader's text as it is now: that of a path below `shaders/`, or of `text`. */
export type CodeOf = (shader: string, text?: string) => string;

export interface TuningQuestion {
  /** Name of the family: 'matmul'. */
  readonly family: string;
  /** Sizes and settings as the family names them. */
  readonly shape: object;
  /** Those that can run this shape here, the family's own order: the first is its default. Never empty. */
  readonly able: readonly TuningCandidate[];
  /** Those that cannot, and why. */
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

export interface Tuning {
  /** The name of one of `able`; undefined when there is nothing to say, and the default stands. */
  choose(question: TuningQuestion): string | undefined;
}

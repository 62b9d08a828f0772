/** What was measured at one shape, and what follows from it. */
import type { ShapeKey } from './shape-key.ts';
import type { Subject } from '../validate/draw/subject.ts';

export interface TuningPoint extends ShapeKey {
  /** What was timed: a whole op, in which only this choice differed. */
  readonly subject: Subject;
  /** Which of the choices that the op asks for. */
  readonly index: number;
  /** ISO 8601, UTC. */
  readonly date: string;
  /** Version of this package. */
  readonly project: string;
  /** What the family took by itself. */
  readonly default: string;
  /** What to take instead; null when nothing beats the default for certain. */
  readonly choice: string | null;
  /** Why, in words. */
  readonly reason: string;
  /** How far the default was from itself, as a share: it was timed twice, between the others. */
  readonly spread: number;
  /** The default's second series. */
  readonly againNs: readonly number[];
  readonly grainNs: number;
  /** The evidence: the default first. */
  readonly evidence: readonly Evidence[];
  /** Variants without a time, and why. */
  readonly left: readonly { readonly variant: string; readonly reason: string }[];
}

export interface Evidence {
  readonly variant: string;
  /** Fingerprint of its shader's text: with another text the times mean nothing. */
  readonly code: string;
  /** Per run. The n-th of all variants were taken together. */
  readonly samplesNs: readonly number[];
  /** Runs in one window. */
  readonly repeats: number;
}

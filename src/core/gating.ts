/** How experts are scored and which of them may be chosen: shared by kernels, reference and ops. */

/** Softmax over all experts, or a sigmoid of each logit. */
export type ScoreFunction = 'softmax' | 'sigmoid';

/** Group-limited routing: experts lie in equal groups in order, and only those of the best groups may be chosen. */
export interface GroupLimit {
  /** Groups that the experts are cut into. */
  readonly count: number;
  /** Groups that stay. */
  readonly kept: number;
  /** A group's score: the sum of its two best experts (DeepSeek-V3), or its best (DeepSeek-V2). */
  readonly score: 'top2' | 'max';
}

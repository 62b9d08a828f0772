/** What becomes of rows for which their expert has no room. */
export const OVERFLOW_POLICIES = [
  'dropless',
  'drop-position',
  'drop-score',
  'next-best',
  'spill',
  'carry',
] as const;

/**
 * Rows have positions: source ranks in order, their tokens in order, a token's choices in order. All but `drop-score`
 * let an expert keep the rows of the lowest positions.
 *
 * - `dropless`: no capacity.
 * - `drop-position`: the rest is dropped (Megatron's `position`).
 * - `drop-score`: an expert keeps the rows of the highest router scores, equal ones by position (Megatron's `probs`,
 *   batch-prioritised as in V-MoE, arXiv 2106.05974, but per row).
 * - `next-best`: in rounds. Every row that is left asks the best expert that its token has neither chosen nor asked; of a
 *   token's rows the first asks the better. Experts take as many as they have room for, by position. Without a further
 *   expert a row is dropped. It weighs by the new expert's score.
 * - `spill`: in rounds. Every row that is left asks the next replica of its expert in the order of slots, around.
 * - `carry`: rows wait for the next micro-batch, where they come first, in the order in which they came to wait; what
 *   waits after the last is dropped.
 */
export type OverflowPolicy = (typeof OVERFLOW_POLICIES)[number];

/** What a reader is told of each. */
export const POLICY_IDEAS: Readonly<Record<OverflowPolicy, string>> = {
  dropless: 'no capacity',
  'drop-position': 'later tokens lose',
  'drop-score': 'lower router scores lose',
  'next-best': "the token's next expert with room",
  spill: 'another replica with room',
  carry: 'waits for the next micro-batch',
};

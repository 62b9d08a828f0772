/**
 * The routed experts between the choice of experts and the joined rows. There are two: of a rank that owns all experts
 * (`local.ts`), and of ranks that send their rows to each other (`exchanged.ts`).
 */
import type { Segment } from '../collectives/segments.ts';
import type { Bindable } from '../gpu/buffer.ts';

/** `Work` says whose rows go where. Each step reads what the one before has left. */
export interface RoutedExperts<Work, S extends Segment = Segment> {
  /** Rows to their experts: a plan, and where experts lie on several ranks a permutation and an all-to-all. */
  dispatch(work: Work): S[];
  /** Both products of every expert, over the rows that it has. */
  experts(work: Work): S[];
  /** The rows of a token's experts, back and joined by its scores. */
  combine(work: Work): S[];
}

/** All three steps. */
export function routedSegments<Work, S extends Segment>(routed: RoutedExperts<Work, S>, work: Work): S[] {
  return [...routed.dispatch(work), ...routed.experts(work), ...routed.combine(work)];
}

/** The tokens of one rank with their choices, and where their results go. T tokens of width D, K experts each. */
export interface RoutedRows {
  readonly numTokens: number;
  /** [T, D] */
  readonly x: Bindable;
  /** u32 [T, K], f32 [T, K] */
  readonly ids: Bindable;
  readonly scores: Bindable;
  /** [T, D], of experts with a residual. */
  readonly residual?: Bindable | undefined;
  /** [T, D] */
  readonly y: Bindable;
}

/** What the plan of one rank's choices writes. */
export interface ChoicePlaces {
  /** u32 [T, K]: row of each choice. */
  readonly slot: Bindable;
  /** u32 [T K]: token of each row. */
  readonly rowToken: Bindable;
  /** u32, see `planScratchWords`. */
  readonly planScratch: Bindable;
}

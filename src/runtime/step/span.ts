/** What a pass of a step was for: where in the pipeline, whose rows, and what they cost at least. */
import type { Segment } from '../../collectives/segments.ts';
import { at, sum } from '../../core/math.ts';
import type { SpanTime } from '../../gpu/span-timer.ts';
import type { Run } from '../../layout/layout.ts';
import type { WeightDtype } from '../../tensor/quantised.ts';
import { BYTES_OF } from '../../tensor/tensor.ts';
import type { StageStep } from '../layer/context.ts';
import type { RankSizes } from '../../memory/rank-sizes.ts';

export interface StepSpan {
  readonly stage: number;
  /** Of the whole model; undefined at the pipeline's ends and between stages. */
  readonly layer: number | undefined;
  readonly microBatch: number;
  /** 'attention', 'all-to-all': the name of its segments. */
  readonly operation: string;
  /** Ranks of the stage that it served, numbered within it: replica * ep + e. */
  readonly ranks: Run;
  /** Of all its ranks. */
  readonly rows: number;
  /** By rank of the run; undefined where only the GPU knows: the rows that experts receive. */
  readonly rowsOf: readonly number[] | undefined;
  /** Multiply-adds count 2, every input and output once: modelled. */
  readonly flop: number;
  readonly bytes: number;
}

export type StepSpanTime = SpanTime & { readonly tag: StepSpan };

export interface SpanPlaceInStep {
  readonly sizes: RankSizes;
  readonly weightDtype: WeightDtype;
  readonly stage: number;
  readonly microBatch: number;
  readonly step: StageStep;
}

/** Neighbours of one name share a span, and so a pass. */
export function tagged(
  place: SpanPlaceInStep,
  layer: number | undefined,
  segments: readonly Segment[],
): Segment[] {
  let last: StepSpan | undefined;
  return segments.map((segment) => {
    const operation = segment.span ?? last?.operation ?? '';
    if (last?.operation !== operation) last = stepSpan(place, layer, operation);
    return { ...segment, tag: last };
  });
}

const BY_SHARE = ['route', 'all-to-all', 'combine'];

function stepSpan(place: SpanPlaceInStep, layer: number | undefined, operation: string): StepSpan {
  const { stage, microBatch, step, sizes } = place;
  const shares = step.loads.map(({ share }) => share.count);
  const whole = step.loads.map(({ numTokens }) => numTokens);
  const rowsOf = operation === 'experts' ? undefined : BY_SHARE.includes(operation) ? shares : whole;
  const rows = rowsOf === undefined ? sum(shares) * sizes.topK : sum(rowsOf);
  const ranks = { first: 0, count: step.loads.length };
  return { stage, layer, microBatch, operation, ranks, rows, rowsOf, ...costOf(place, operation) };
}

interface Cost {
  readonly flop: number;
  readonly bytes: number;
}

/** Of all ranks of the stage. Each reads its own weights, as on a cluster, but of ranks that share a product its holder. */
function costOf({ sizes: z, weightDtype, step }: SpanPlaceInStep, operation: string): Cost {
  const { modelDim: width, topK, numExperts, expertDim, headDim, numHeads, numKvHeads } = z;
  const weight = BYTES_PER_WEIGHT[weightDtype];
  const row = 4 * width;
  const tokens = sum(step.loads.map(({ numTokens }) => numTokens));
  const shares = sum(step.loads.map(({ share }) => share.count));
  const busy = step.loads.filter(({ numTokens }) => numTokens > 0);
  switch (operation) {
    case 'attention': {
      const sequences = busy.flatMap(({ group }) => at(step.batch, group).sequences);
      const seen = sum(
        sequences.map(({ past, ids }) => ids.length * past + (ids.length * (ids.length + 1)) / 2),
      );
      const kept = sum(sequences.map(({ past, ids }) => past + 2 * ids.length));
      const matrices = width * headDim * (2 * numHeads + 2 * numKvHeads);
      return {
        flop: 2 * tokens * matrices + 4 * numHeads * headDim * seen,
        bytes:
          step.projections.products.length * matrices * weight +
          2 * tokens * row +
          2 * kept * numKvHeads * headDim * BYTES_OF[z.cacheDtype],
      };
    }
    case 'route':
      return { flop: 2 * shares * width * numExperts, bytes: 2 * shares * row + row * numExperts };
    case 'experts': {
      const choices = shares * topK;
      const experts = Math.min(z.numRanks * z.localExperts, choices);
      return {
        flop: 6 * choices * width * expertDim,
        bytes: 3 * experts * width * expertDim * weight + 2 * choices * row,
      };
    }
    case 'all-to-all':
      return { flop: 0, bytes: 2 * shares * topK * row };
    case 'combine':
      return { flop: 2 * shares * topK * width, bytes: (topK + 2) * shares * row };
    case 'reduce-scatter':
      return { flop: (tokens - shares) * width, bytes: (tokens + shares) * row };
    case 'all-gather':
      return { flop: 0, bytes: (tokens + shares) * row };
    case 'logits': {
      const perRank = z.vocabSize / (z.numRanks / z.numGroups);
      const rows = sum(step.logits.places.map(({ numRows }) => numRows));
      return {
        flop: 2 * rows * width * perRank,
        bytes: step.logits.products.length * perRank * width * weight + rows * (row + 4 * perRank),
      };
    }
    default:
      return { flop: 0, bytes: 2 * tokens * row };
  }
}

const BYTES_PER_WEIGHT: Readonly<Record<WeightDtype, number>> = {
  ...{ f32: 4, f16: 2, bf16: 2, int8: 1, int4: 0.5, mxfp4: 0.5 },
};

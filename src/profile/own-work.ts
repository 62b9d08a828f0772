/** What the dispatches of a step are to a curve: their kernels, and what their times may be in proportion to. */
import { at, minOf, product, range, sum } from '../core/math.ts';
import type { DispatchFacts, SpanTime } from '../gpu/span-timer.ts';
import type { KernelTime } from '../planner/own/step-model.ts';
import type { StepSpan } from '../runtime/step/span.ts';

/** What all sequences of a step are alike in. */
export interface SequenceSizes {
  /** New tokens of one, and positions that its last one sees. */
  readonly queries: number;
  readonly keys: number;
  /** Experts of the model. */
  readonly experts: number;
}

type Timed = SpanTime & { readonly tag: StepSpan };

/** Keys of one turn of a decoding loop. */
const KEY_BLOCK = 32;

/**
 * Equal dispatches together, with the lower quartile of their fastest times: what disturbs a dispatch only adds to it.
 * @param runs of one step, each dispatch in a pass of its own.
 */
export function workOfStep(runs: readonly (readonly Timed[])[], sizes: SequenceSizes): KernelTime[] {
  const spans = at(runs, 0);
  const alike = new Map<StepSpan, Map<string, number>>();
  for (const span of spans) {
    const own = alike.get(span.tag) ?? new Map<string, number>();
    alike.set(span.tag, own);
    own.set(kernelOf(span), (own.get(kernelOf(span)) ?? 0) + 1);
  }
  const found = new Map<string, { work: Omit<KernelTime, 'ns' | 'dispatches'>; ns: number[] }>();
  for (const [i, span] of spans.entries()) {
    const { dispatch, tag } = span;
    if (dispatch === undefined) continue;
    const terms = termsOf(dispatch, tag, alike.get(tag)?.get(kernelOf(span)) ?? 1, sizes);
    const times = runs.map((run) => at(run, i).ns).filter((ns) => ns !== undefined);
    const key = `${kernelOf(span)} ${tag.operation} ${terms.join()}`;
    const group = found.get(key) ?? {
      work: { shader: span.kernel ?? '', spec: specText(dispatch), operation: tag.operation, terms },
      ns: [],
    };
    found.set(key, group);
    group.ns.push(times.length > 0 ? minOf(times) : 0);
  }
  return [...found.values()].map(({ work, ns }) => ({
    ...work,
    dispatches: ns.length,
    ns: at(
      [...ns].sort((a, b) => a - b),
      Math.floor(ns.length / 4),
    ),
  }));
}

const specText = ({ spec }: DispatchFacts): string => JSON.stringify(spec);
const kernelOf = ({ kernel = '', dispatch }: Timed): string =>
  `${kernel} ${dispatch ? specText(dispatch) : ''}`;

/**
 * 1, workgroups, those times the depth of a product and times the members of a group, pairs of a query and a key, turns of
 * a decoding loop; where the GPU counts the workgroups the tiles that are expected of it, and rows.
 * @param alike dispatches of the span with this kernel: they share its rows.
 */
function termsOf(
  { spec, params, grid }: DispatchFacts,
  { rows }: StepSpan,
  alike: number,
  { queries, keys, experts }: SequenceSizes,
): number[] {
  const own = rows / alike;
  if (grid === undefined) {
    const tileRows = typeof spec['ROWS'] === 'number' ? spec['ROWS'] : 1;
    return [1, 0, 0, 0, 0, 0, expectedTiles(own, experts, tileRows), own];
  }
  const groups = product(grid);
  const { depth = 0, groupSize = 0, xStride = 0, yStride = 0, cacheLength, numHeads = 0 } = params;
  const { numSequences = 0 } = params;
  const members =
    groupSize || (xStride > 0 && yStride > 0 ? Math.max(xStride, yStride) / Math.min(xStride, yStride) : 0);
  const attends = cacheLength === undefined ? 0 : numHeads * numSequences;
  const past = keys - queries;
  const pairs = queries * past + (queries * (queries + 1)) / 2;
  const turns = sum(range(queries).map((i) => Math.ceil((past + i + 1) / KEY_BLOCK)));
  return [1, groups, groups * depth, groups * members, attends * pairs, attends * turns, 0, own];
}

/** Tiles of at most so many rows, when each of `rows` chooses one of `experts` evenly: E sum of P(X = n) ceil(n / tile). */
export function expectedTiles(rows: number, experts: number, tileRows: number): number {
  const n = Math.max(0, Math.round(rows));
  if (experts <= 1) return Math.ceil(n / tileRows);
  const p = 1 / experts;
  let log = n * Math.log1p(-p);
  let tiles = 0;
  for (let k = 0; k <= n; k++) {
    tiles += Math.exp(log) * Math.ceil(k / tileRows);
    log += Math.log((n - k) / (k + 1)) + Math.log(p / (1 - p));
  }
  return experts * tiles;
}

/**
 * The time of the routed layer under a load, measured on this adapter: plan, both products and combine of the rows that slots
 * have, one row a choice. Of all ranks' rows, which is what one device takes for them, and of the fullest rank's alone,
 * which is what a cluster of such devices would wait for.
 */
import { recordAll } from '../collectives/segments.ts';
import { ConfigError } from '../core/errors.ts';
import { at, maxOf, range, sum } from '../core/math.ts';
import { seededRandom } from '../core/random.ts';
import { formatBytes } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { RoutedShape } from '../kernels/experts/products.ts';
import { type BenchClock, measureKernel } from '../measure/stopwatch.ts';
import { medianNs, type Timing } from '../measure/timing.ts';
import { OpBuffers } from '../ops/op-buffers.ts';
import { prepareLocalExperts } from '../routed/local.ts';
import { routedSegments } from '../routed/routed-experts.ts';
import { loadOfRanks } from '../routing/load.ts';
import type { ExpertPlacement } from '../routing/placement.ts';
import { f32Tensor } from '../tensor/tensor.ts';

export interface LayerWidths {
  readonly modelDim: number;
  readonly expertDim: number;
}

export interface LayerTime {
  readonly clock: BenchClock['clock'];
  /** ns, medians; absent where the clock could not carry it. */
  readonly allRanksNs?: number;
  readonly fullestRankNs?: number;
  readonly fullestRank: number;
  readonly rows: { readonly allRanks: number; readonly fullestRank: number };
}

/** @throws ConfigError when the experts of all slots are more than the adapter can bind. */
export async function measureLayer(
  gpu: Gpu,
  clock: BenchClock,
  placement: ExpertPlacement,
  count_P: readonly number[],
  widths: LayerWidths,
): Promise<LayerTime> {
  requireRoom(gpu, placement.numSlots, widths);
  const loads = loadOfRanks(placement, count_P);
  const fullestRank = loads.indexOf(maxOf(loads));
  const own = count_P.slice(at(placement.firstSlot, fullestRank), at(placement.firstSlot, fullestRank + 1));
  const all = medianNs(await timeRows(gpu, clock, count_P, widths));
  const fullest = medianNs(await timeRows(gpu, clock, own, widths));
  return {
    clock: clock.clock,
    ...(all !== undefined && { allRanksNs: all }),
    ...(fullest !== undefined && { fullestRankNs: fullest }),
    fullestRank,
    rows: { allRanks: sum(count_P), fullestRank: sum(own) },
  };
}

/** Three matrices a slot, in f32, of which each stack is one binding. */
function requireRoom(gpu: Gpu, slots: number, { modelDim, expertDim }: LayerWidths): void {
  const stack = 4 * slots * modelDim * expertDim;
  const most = gpu.limits.maxStorageBufferBindingSize;
  if (stack <= most) return;
  throw new ConfigError(
    `${slots} slots of experts ${modelDim} x ${expertDim} are ${formatBytes(stack)} a stack, and ${gpu.facts.name} binds ` +
      `${formatBytes(most)}. Take fewer slots, smaller --width or --expert-width, or --no-time.`,
  );
}

async function timeRows(
  gpu: Gpu,
  clock: BenchClock,
  count_L: readonly number[],
  { modelDim, expertDim }: LayerWidths,
): Promise<Timing> {
  const rows = sum(count_L);
  if (rows === 0) return { state: 'skipped', reason: 'no rows' };
  const numExperts = count_L.length;
  const space = new OpBuffers(gpu);
  try {
    const pool = seededRandom(5).normals(POOL);
    const stack = (name: string, n: number, k: number) =>
      space.matrix(name, f32Tensor([numExperts, n, k], repeated(pool, numExperts * n * k, k ** -0.5)));
    const weights = {
      w1: stack('w1', expertDim, modelDim),
      w3: stack('w3', expertDim, modelDim),
      w2: stack('w2', modelDim, expertDim),
    };
    const experts = await prepareLocalExperts(gpu, shapeOf(numExperts, { modelDim, expertDim }), {
      always: rows,
    });
    const work = {
      numTokens: rows,
      x: space.activation('x', f32Tensor([rows, modelDim], repeated(pool, rows * modelDim, 1))),
      ids: space.integers('ids', shuffledIds(count_L, rows)),
      scores: space.activation('scores', f32Tensor([rows, 1], new Float32Array(rows).fill(1))),
      weights,
      ...experts.scratch(rows, (name, words) => space.scratch(name, words)),
      y: space.scratch('y', rows * modelDim),
    };
    return await measureKernel(
      gpu,
      (commands) => recordAll(commands, routedSegments(experts, [work])),
      clock,
      { budgetNs: 150e6, minSamples: 3 },
    );
  } finally {
    space.destroy();
  }
}

function shapeOf(numExperts: number, { modelDim, expertDim }: LayerWidths): RoutedShape {
  return {
    ...{ numExperts, topK: 1, modelDim, expertDim, gated: true, activation: 'silu' },
    ...{ upDtype: 'f32', downDtype: 'f32', residual: false },
  };
}

/** Rows of a tile of the grouped GEMM that this adapter takes for so many rows. */
export async function tileRowsOn(
  gpu: Gpu,
  numSlots: number,
  rows: number,
  widths: LayerWidths,
): Promise<number> {
  return (await prepareLocalExperts(gpu, shapeOf(numSlots, widths), { always: Math.max(1, rows) })).tileRows;
}

/** A prime: rows that follow each other differ. */
const POOL = 65_537;

/** Times do not depend on the values, as long as they are ordinary. */
function repeated(pool: Float32Array, count: number, factor: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = factor * at(pool, i % pool.length);
  return values;
}

/** The ids of so many rows of each expert, in no order. */
function shuffledIds(count_L: readonly number[], rows: number): Uint32Array {
  const ids = Uint32Array.from(range(count_L.length).flatMap((e) => Array<number>(at(count_L, e)).fill(e)));
  const random = seededRandom(9);
  for (let i = rows - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    const kept = at(ids, i);
    ids[i] = at(ids, j);
    ids[j] = kept;
  }
  return ids;
}

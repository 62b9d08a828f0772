/** Instances of experts onto GPUs, for given numbers of copies, so that the fullest GPU has little. */
import { at, balancedRun, maxOf, range, sum } from '../../core/math.ts';

export interface Packing {
  /** Experts of each GPU's slots. */
  readonly gpus: number[][];
  /** Load of each; a copy takes its even share. */
  readonly loads: number[];
}

/** Slots of each GPU: numbers that differ by at most one. */
export function slotsOfGpus(slots: number, gpus: number): number[] {
  return range(gpus).map((gpu) => balancedRun(slots, gpus, gpu)[1]);
}

/** Instances as experts, heaviest share first; of equal shares the lower id. */
function heaviestFirst(share: readonly number[], copies: readonly number[]): number[] {
  const experts = range(share.length).sort((a, b) => at(share, b) - at(share, a) || a - b);
  return experts.flatMap((e) => Array<number>(at(copies, e)).fill(e));
}

/**
 * Two slots on every GPU: the heaviest with the lightest, and so on. Exact: whatever is paired otherwise can be turned
 * into that without a fuller GPU. @param items shares of all instances; they are sorted.
 */
export function foldLoad(items: Float64Array): number {
  items.sort();
  let most = 0;
  for (let i = 0, j = items.length - 1; i <= j; i++, j--) most = Math.max(most, at(items, i) + at(items, j));
  return most;
}

function fold(share: readonly number[], copies: readonly number[]): Packing {
  const order = heaviestFirst(share, copies);
  const gpus = range(order.length / 2).map((i) => [at(order, i), at(order, order.length - 1 - i)]);
  return { gpus, loads: gpus.map(([a = 0, b = 0]) => at(share, a) + at(share, b)) };
}

/** Heaviest first, each to the least loaded GPU with room. */
function spread(share: readonly number[], copies: readonly number[], room: readonly number[]): Packing {
  const gpus = room.map((): number[] => []);
  const loads = room.map(() => 0);
  for (const expert of heaviestFirst(share, copies)) {
    let best = -1;
    for (let g = 0; g < room.length; g++) {
      if (at(gpus, g).length < at(room, g) && (best === -1 || at(loads, g) < at(loads, best))) best = g;
    }
    at(gpus, best).push(expert);
    loads[best] = at(loads, best) + at(share, expert);
  }
  return { gpus, loads };
}

/** The best known packing of so many copies. */
export function packCopies(
  load: readonly number[],
  copies: readonly number[],
  room: readonly number[],
): Packing {
  const share = load.map((value, e) => value / at(copies, e));
  return isPairs(room) ? fold(share, copies) : spread(share, copies, room);
}

/** What `packCopies` comes to, many times: the fullest GPU's load, without the lists. */
export function packedLoads(
  load: readonly number[],
  room: readonly number[],
): (copies: ArrayLike<number>) => number {
  const items = new Float64Array(sum(room));
  const [loads, left] = [new Float64Array(room.length), new Uint32Array(room.length)];
  const pairs = isPairs(room);
  return (copies) => {
    let count = 0;
    for (let e = 0; e < load.length; e++) {
      const share = at(load, e) / at(copies, e);
      for (let i = at(copies, e); i > 0; i--) items[count++] = share;
    }
    if (pairs) return foldLoad(items);
    items.sort();
    loads.fill(0);
    left.set(room);
    for (let i = items.length - 1; i >= 0; i--) {
      let best = -1;
      for (let g = 0; g < left.length; g++) {
        if (at(left, g) > 0 && (best === -1 || at(loads, g) < at(loads, best))) best = g;
      }
      loads[best] = at(loads, best) + at(items, i);
      left[best] = at(left, best) - 1;
    }
    return maxOf(loads);
  };
}

export function isPairs(room: readonly number[]): boolean {
  return room.every((slots) => slots === 2);
}

/** Swaps an instance of the fullest GPU for one of another, as long as both end below what the fullest has. */
export function improve(load: readonly number[], copies: readonly number[], packing: Packing): void {
  const { gpus, loads } = packing;
  const share = load.map((value, e) => value / at(copies, e));
  for (;;) {
    const most = maxOf(loads);
    const from = loads.indexOf(most);
    let best: { i: number; to: number; j: number; most: number } | undefined;
    at(gpus, from).forEach((mine, i) => {
      gpus.forEach((others, to) => {
        if (to === from) return;
        others.forEach((other, j) => {
          const gain = at(share, mine) - at(share, other);
          const after = Math.max(most - gain, at(loads, to) + gain);
          if (gain > 0 && after < (best?.most ?? most * (1 - 1e-12))) best = { i, to, j, most: after };
        });
      });
    });
    if (best === undefined) return;
    const { i, to, j } = best;
    const [mine, other] = [at(at(gpus, from), i), at(at(gpus, to), j)];
    at(gpus, from)[i] = other;
    at(gpus, to)[j] = mine;
    const gain = at(share, mine) - at(share, other);
    loads[from] = at(loads, from) - gain;
    loads[to] = at(loads, to) + gain;
  }
}

/**
 * The exact optimum of even replica split where every GPU has two slots: branch and bound over the numbers of copies, from
 * the heaviest expert on. For given copies the best pairs are known (`foldLoad`), and with the undecided slots as light as
 * they can become the same pairs bound what is still possible.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireGiven } from '../../core/given.ts';
import { at, range, sum } from '../../core/math.ts';
import { type ExpertPlacement, placementOf } from '../placement.ts';
import { foldLoad, packCopies, slotsOfGpus } from './pack.ts';

/** The best placement, and whether that is proved. */
export interface Optimum {
  readonly placement: ExpertPlacement;
  readonly maxOverMean: number;
  /** False when the limit of nodes ended the search: then it is the best that was seen. */
  readonly proved: boolean;
  readonly nodes: number;
}

/** A guess: some seconds. */
const MOST_NODES = 5e6;

/** Equal to this share of a load, so that what rounding left over proves nothing. */
const EPSILON = 1e-12;

/**
 * The placement whose fullest GPU has the least, with two slots a GPU and an even split.
 * @param options.begin copies that are known to be good, where there are any. @param options.mostNodes 5 million by default.
 * @throws ConfigError for GPUs that have not two slots each, or loads that cannot be.
 */
export function optimalPlacement(
  load: readonly number[],
  gpus: number,
  options: { readonly begin?: readonly number[]; readonly mostNodes?: number } = {},
): Optimum {
  requireGiven('The load', load, 'list');
  const slots = 2 * gpus;
  const usable = load.every((value) => value >= 0 && value < Infinity) && sum(load) > 0;
  if (!(Number.isInteger(gpus) && gpus >= 1 && load.length <= slots && usable)) {
    throw new ConfigError(
      `the optimum is found for two slots on each GPU and finite loads of at least 0, not all 0: got ${load.length} experts on ${gpus} GPUs.`,
    );
  }
  const search = new Search(load, gpus, options.mostNodes ?? MOST_NODES);
  const begin = options.begin ?? evenCopies(load.length, slots);
  search.consider(begin);
  search.branch(0, slots - load.length);
  const packing = packCopies(load, search.best, slotsOfGpus(slots, gpus));
  return {
    placement: placementOf(packing.gpus, load.length),
    maxOverMean: (search.fewest * gpus) / sum(load),
    proved: search.nodes <= search.mostNodes,
    nodes: search.nodes,
  };
}

function evenCopies(experts: number, slots: number): number[] {
  return range(experts).map((e) => Math.floor(slots / experts) + (e < slots % experts ? 1 : 0));
}

class Search {
  readonly #load: readonly number[];
  readonly #slots: number;
  readonly #mean: number;
  /** Experts, heaviest first. */
  readonly #order: readonly number[];
  readonly #copies: number[];
  readonly #items: Float64Array;
  readonly mostNodes: number;
  nodes = 0;
  best: number[] = [];
  fewest = Infinity;

  constructor(load: readonly number[], gpus: number, mostNodes: number) {
    this.#load = load;
    this.#slots = 2 * gpus;
    this.#mean = sum(load) / gpus;
    this.#order = range(load.length).sort((a, b) => at(load, b) - at(load, a) || a - b);
    this.#copies = load.map(() => 1);
    this.#items = new Float64Array(this.#slots);
    this.mostNodes = mostNodes;
  }

  consider(copies: readonly number[]): void {
    this.#order.forEach((e) => (this.#copies[e] = at(copies, e)));
    const found = this.#bound(this.#order.length, 0);
    if (found < this.fewest) [this.fewest, this.best] = [found, [...this.#copies]];
  }

  /** @param spare slots beyond one for each expert from `depth` on. */
  branch(depth: number, spare: number): void {
    this.nodes += 1;
    if (this.nodes > this.mostNodes || this.fewest <= this.#mean * (1 + EPSILON)) return;
    if (depth === this.#order.length) {
      const found = spare === 0 ? this.#bound(depth, 0) : Infinity;
      if (found < this.fewest * (1 - EPSILON)) [this.fewest, this.best] = [found, [...this.#copies]];
      return;
    }
    const expert = at(this.#order, depth);
    const load = at(this.#load, expert);
    const last = depth === this.#order.length - 1;
    const least = Math.max(1, Math.ceil((load * (1 - EPSILON)) / this.fewest));
    // Experts of equal loads are alike: the first of them has the most copies.
    const before = this.#order[depth - 1];
    const twin =
      before !== undefined && at(this.#load, before) === load ? at(this.#copies, before) : Infinity;
    for (let n = last ? Math.max(least, spare + 1) : least; n <= Math.min(spare + 1, twin); n++) {
      this.#copies[expert] = n;
      if (this.#bound(depth + 1, spare + 1 - n) < this.fewest * (1 - EPSILON))
        this.branch(depth + 1, spare + 1 - n);
    }
    this.#copies[expert] = 1;
  }

  /** The fullest pair when the experts before `depth` have their copies, and the others are cut as small as they can be. */
  #bound(depth: number, spare: number): number {
    const items = this.#items;
    let count = 0;
    for (let i = 0; i < depth; i++) {
      const e = at(this.#order, i);
      const copies = at(this.#copies, e);
      for (let j = 0; j < copies; j++) items[count++] = at(this.#load, e) / copies;
    }
    for (let i = depth; i < this.#order.length; i++) {
      items[count++] = at(this.#load, at(this.#order, i)) / (1 + spare);
    }
    items.fill(0, count);
    if (depth < this.#order.length) {
      const lightest = at(this.#load, at(this.#order, this.#order.length - 1)) / (1 + spare);
      items.fill(lightest, count);
    }
    return foldLoad(items);
  }
}

/**
 * Our own placer: how many copies each expert has is searched for, and for every number tried the instances are packed.
 * It starts from EPLB's answer and keeps the best that it saw, so it is never worse.
 */
import { ConfigError } from '../../core/errors.ts';
import { requireGiven, requireOptions } from '../../core/given.ts';
import { at, maxOf, range, sum } from '../../core/math.ts';
import { seededRandom, type Random } from '../../core/random.ts';
import { requireName } from '../capacity.ts';
import { type ExpertPlacement, expertsOfRanks, placementOf } from '../placement.ts';
import { eplbGlobal } from './eplb.ts';
import { optimalPlacement } from './optimum.ts';
import { improve, isPairs, packCopies, packedLoads, slotsOfGpus } from './pack.ts';
import { weightedSplit } from './split.ts';

/** What is placed on. */
export interface PlacerOptions {
  readonly slots: number;
  readonly gpus: number;
  /** Whether a replica takes an even share of its expert's rows, the default, or any (`weightedSplit`). */
  readonly split?: 'even' | 'weighted';
  readonly seed?: number;
}

/** A placement and how even it makes the load. */
export interface Placed {
  readonly placement: ExpertPlacement;
  /** Of the fullest GPU over the mean, with the split that was asked for. */
  readonly maxOverMean: number;
}

/** Comparisons that a search may spend, and moves that it makes at least and at most. Guesses: below a second on one core. */
const SEARCH = { work: 4e6, least: 200, most: 10_000 };
/** Of a search by maximum flows, which cost much more each. */
const FLOW_SEARCH = { work: 2e4, most: 400 };
/** Nodes of the search for the exact optimum, where GPUs have two slots and few experts are placed. A guess. */
const MOST_NODES = 8000;
const FEW_EXPERTS = 16;
/** What is so near to even is not improved further. */
const EVEN = 1 + 1e-3;
/** The temperature falls from so much of the mean load to nothing. A guess. */
const HOTTEST = 0.05;

/**
 * Places experts with replicas so that the fullest GPU has little: never worse than EPLB, and seeded.
 * @param load of each expert, at least 0 and not all 0.
 * @throws ConfigError for loads or sizes that cannot be.
 */
export function placeExperts(load: readonly number[], options: PlacerOptions): Placed {
  requireGiven('The load', load, 'list');
  requireOptions('The placer', options, {
    slots: 'number',
    gpus: 'number',
    split: 'string?',
    seed: 'number?',
  });
  const { slots, gpus, split = 'even', seed = 1 } = options;
  requireName('split', split, ['even', 'weighted']);
  checkLoads(load, slots, gpus);
  const mean = sum(load) / gpus;
  const room = slotsOfGpus(slots, gpus);
  const random = seededRandom(seed);
  const first = copiesToBegin(load, slots);
  const copies = annealed(first, { load, room, mean, random });
  const starts = [copies, first].map((of) => {
    const packing = packCopies(load, of, room);
    improve(load, of, packing);
    return packing.gpus;
  });
  if (slots % gpus === 0) starts.push(eplbGlobal(load, slots, gpus));
  if (isPairs(room) && load.length <= FEW_EXPERTS) {
    const { placement } = optimalPlacement(load, gpus, { begin: copies, mostNodes: MOST_NODES });
    starts.push(expertsOfRanks(placement));
  }
  const candidates = starts.map((of) => ({ gpus: of, most: evenLoad(load, of) / mean }));
  const even = candidates.reduce((best, other) => (other.most < best.most ? other : best));
  if (split === 'even') return { placement: placementOf(even.gpus, load.length), maxOverMean: even.most };
  const weighted = candidates.map(({ gpus: of }) => weightedOf(load, of));
  const best = weighted.reduce((a, b) => (b.maxOverMean < a.maxOverMean ? b : a));
  return improvedByFlow(load, best, random);
}

/** Load of the fullest GPU where every copy takes an even share. */
export function evenLoad(load: readonly number[], gpus: readonly (readonly number[])[]): number {
  return maxOf(evenLoads(load, gpus));
}

export function evenLoads(load: readonly number[], gpus: readonly (readonly number[])[]): number[] {
  const copies = load.map(() => 0);
  for (const expert of gpus.flat()) copies[expert] = at(copies, expert) + 1;
  return gpus.map((experts) => sum(experts.map((e) => at(load, e) / at(copies, e))));
}

function checkLoads(load: readonly number[], slots: number, gpus: number): void {
  const [whole, count] = [[slots, gpus].every((n) => Number.isInteger(n) && n >= 1), load.length];
  if (!whole || count < 1 || slots < count || slots < gpus) {
    throw new ConfigError(
      `${count} experts cannot be placed on ${slots} slots of ${gpus} GPUs: there must be a slot for every expert and for every GPU.`,
    );
  }
  const wrong = load.findIndex((value) => !(value >= 0 && value < Infinity));
  if (wrong !== -1 || !(sum(load) > 0)) {
    const what = wrong === -1 ? 'all loads are 0' : `the load of expert ${wrong} is ${at(load, wrong)}`;
    throw new ConfigError(`${what}; loads must be finite, at least 0, and one of them more.`);
  }
}

/** The most loaded is given the next copy. */
function copiesToBegin(load: readonly number[], slots: number): number[] {
  const copies = load.map(() => 1);
  for (let i = load.length; i < slots; i++) {
    let fullest = 0;
    const share = (e: number): number => at(load, e) / at(copies, e);
    for (let e = 1; e < load.length; e++) if (share(e) > share(fullest)) fullest = e;
    copies[fullest] = at(copies, fullest) + 1;
  }
  return copies;
}

interface Search {
  readonly load: readonly number[];
  readonly room: readonly number[];
  readonly mean: number;
  readonly random: Random;
}

/** One copy moves from one expert to another, and that stays when it is better, or by chance. */
function annealed(begin: readonly number[], { load, room, mean, random }: Search): number[] {
  const slots = sum(begin);
  if (slots === load.length) return [...begin];
  const perMove = slots * (Math.log2(slots) + room.length / 2);
  const moves = Math.floor(Math.max(SEARCH.least, Math.min(SEARCH.most, SEARCH.work / perMove)));
  const copies = [...begin];
  const loadFor = packedLoads(load, room);
  let now = loadFor(copies);
  let [best, fewest] = [[...copies], now];
  for (let i = 0; i < moves; i++) {
    const heat = HOTTEST * mean * (1 - i / moves) ** 2;
    const [from, to] = [random.integer(load.length), random.integer(load.length)];
    if (from === to || at(copies, from) === 1) continue;
    copies[from] = at(copies, from) - 1;
    copies[to] = at(copies, to) + 1;
    const then = loadFor(copies);
    if (then <= now || random.uniform() < Math.exp((now - then) / heat)) now = then;
    else {
      copies[from] = at(copies, from) + 1;
      copies[to] = at(copies, to) - 1;
    }
    if (now < fewest) [best, fewest] = [[...copies], now];
  }
  return best;
}

interface Weighted extends Placed {
  readonly gpus: readonly (readonly number[])[];
}

function weightedOf(load: readonly number[], gpus: readonly (readonly number[])[]): Weighted {
  const placement = placementOf(gpus, load.length);
  return { gpus, placement, maxOverMean: weightedSplit(load, placement).maxOverMean };
}

/** Slots change hands, or an expert's replica gives way to another's, where the flow has it better. */
function improvedByFlow(load: readonly number[], begin: Weighted, random: Random): Placed {
  const { numSlots, numExperts } = begin.placement;
  const tries = Math.floor(Math.min(FLOW_SEARCH.most, FLOW_SEARCH.work / numSlots));
  let best = begin;
  for (let i = 0; i < tries && best.maxOverMean > EVEN; i++) {
    const gpus = best.gpus.map((experts) => [...experts]);
    const [g, h] = [random.integer(gpus.length), random.integer(gpus.length)];
    const [mine, other] = [at(gpus, g), at(gpus, h)];
    const [s, t] = [random.integer(mine.length), random.integer(other.length)];
    const expert = at(mine, s);
    if (random.integer(2) === 0) {
      mine[s] = at(other, t);
      other[t] = expert;
    } else {
      if (at(best.placement.slotsOfExpert, expert).length === 1) continue;
      mine[s] = random.integer(numExperts);
    }
    const tried = weightedOf(load, gpus);
    if (tried.maxOverMean <= best.maxOverMean) best = tried;
  }
  return { placement: best.placement, maxOverMean: best.maxOverMean };
}

/** Load of each GPU where every copy of `placement` takes an even share. */
export function evenLoadOfRanks(load: readonly number[], placement: ExpertPlacement): number[] {
  const ofRanks = range(placement.numRanks).map(() => 0);
  placement.expertOfSlot.forEach((expert, slot) => {
    const rank = at(placement.rankOfSlot, slot);
    const copies = at(placement.slotsOfExpert, expert).length;
    ofRanks[rank] = at(ofRanks, rank) + at(load, expert) / copies;
  });
  return ofRanks;
}

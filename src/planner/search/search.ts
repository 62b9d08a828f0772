/** All layouts of a model on so many GPUs: cut by memory, simulated by whoever is given, and held against each other. */
import { ConfigError } from '../../core/errors.ts';
import { maxOf } from '../../core/math.ts';
import type { ReadingId } from '../../layout/readings.ts';
import { regionOf, cellOf, type Cell } from '../project/region.ts';
import { cacheBytes, rankLedger, requireFit, shortOf } from '../serving/ledger.ts';
import { checkPlacement, type Placement } from '../serving/placement.ts';
import type { Delivery, Outcome, SearchSetting } from './evaluate.ts';
import { beats, differences, meets, paretoFront, type Difference, type Targets } from './front.ts';
import { keyOf, layoutsOf, type Candidate, type Name } from './layouts.ts';

/** A layout that was simulated. */
export interface Found extends Delivery {
  readonly layout: string;
  readonly reading: ReadingId;
  /** Other tuples and readings that give every rank the same job. */
  readonly same: readonly Name[];
  readonly placement: Placement;
  /** It meets the targets. */
  readonly meets: boolean;
  /** No layout is better in TTFT, throughput, memory and GPUs at once. */
  readonly front: boolean;
  /** Where the numbers come from, with 80 % intervals. */
  readonly cells: Readonly<Record<'ttft_ms' | 'tpot_ms' | 'out_tok_s_gpu', Cell>>;
}

export interface Better {
  readonly layout: Found;
  /** What it is the best of. */
  readonly as: string;
  /** GPU time a token, part by part, the one that shrank the most first. */
  readonly why: readonly Difference[];
}

export interface Standing {
  readonly layout: Found;
  /** By throughput, among all that were simulated on as many GPUs; 1 is the best. */
  readonly rank: number;
  readonly of: number;
  /** How many have no later first token, no less throughput, and one of them better. */
  readonly beaten: number;
  readonly better: readonly Better[];
}

/** What all layouts were asked for. */
export interface SearchWorkload {
  /** Tokens in and out: nominal in a closed loop and of a rate, the mean of a trace. */
  readonly isl: number;
  readonly osl: number;
  /** Requests at once; null where they come by themselves. */
  readonly concurrency: number | null;
  /** Requests that come by themselves, and how many a second from the first to the last; null in a closed loop. */
  readonly requests: number | null;
  readonly ratePerS: number | null;
}

/** What a search found: every layout that was simulated, those that nothing beats, and where the given one stands. */
export interface SearchReport {
  readonly model: string;
  readonly hardware: string;
  readonly gpus: readonly number[];
  readonly precision: string;
  readonly framework: string;
  /** Whether somebody named it; else it is that of the model's plain published recipe, and intervals are wider. */
  readonly frameworkNamed: boolean;
  readonly workload: SearchWorkload;
  readonly targets: Targets;
  /** Layouts that the model can be cut into; of them those that do not fit the memory, and those that were simulated. */
  readonly layouts: number;
  readonly outOfMemory: number;
  readonly simulated: number;
  /** Ctrl-C, or the signal, ended it before all were simulated. */
  readonly interrupted: boolean;
  readonly found: readonly Found[];
  /** The most throughput within the targets; null where nothing meets them. */
  readonly best: Found | null;
  /** Of those that meet the targets, or of all where none does; the most throughput first. */
  readonly front: readonly Found[];
  /** Where the given layout stands; null without one, or where it was not reached. */
  readonly given: Standing | null;
  /** Why the given layout is not among them. */
  readonly givenRefused: string | null;
}

/** What is simulated, and what is not. */
export interface SearchPlan {
  readonly candidates: readonly Candidate[];
  readonly outOfMemory: number;
  readonly layouts: number;
}

/**
 * The layouts that fit the memory of their ranks with one request at least.
 * @throws ConfigError where there is none, by how many bytes the nearest does not, and what would make it fit.
 */
export function planSearch(setting: SearchSetting, gpus: readonly number[]): SearchPlan {
  const { model, hardware, isl, osl } = setting;
  const all = gpus.flatMap((count) => layoutsOf(model, count, hardware.node.gpus));
  if (all.length === 0) {
    throw new ConfigError(
      `No layout of ${gpus.join(' or ')} GPUs cuts ${model.name}: its ${model.layers} layers, ${model.attention.heads} heads` +
        `${model.experts > 0 ? ` and ${model.experts} experts` : ''} have no sizes that divide so. Try a power of two.`,
    );
  }
  const kept: Candidate[] = [];
  let nearest: { candidate: Candidate; short: number } | undefined;
  for (const candidate of all) {
    const ledger = rankLedger({ ...setting, placement: candidate.placement });
    const short = shortOf(ledger, setting, isl + osl);
    if (short <= 0) kept.push(candidate);
    else if (nearest === undefined || short < nearest.short) nearest = { candidate, short };
  }
  if (kept.length === 0 && nearest !== undefined) {
    const { candidate, short } = nearest;
    const ledger = rankLedger({ ...setting, placement: candidate.placement });
    throw new ConfigError(
      `${model.name} does not fit ${gpus.join(' or ')} ${hardware.name} in any of its ${all.length} layouts: the nearest, ` +
        `${candidate.names[0].layout} (${candidate.names[0].reading}), is short of ${short} bytes (${(short / 1e9).toFixed(1)} GB) a rank, ` +
        `weights ${(ledger.weights / 1e9).toFixed(1)} GB and ${(cacheBytes(ledger, 1, isl + osl) / 1e9).toFixed(1)} GB for one request. ` +
        `${remedyOf(setting, maxOf(gpus))}`,
    );
  }
  return { candidates: kept, outOfMemory: all.length - kept.length, layouts: all.length };
}

/** The next number of GPUs that some layout fits, or another format. */
function remedyOf(setting: SearchSetting, gpus: number): string {
  const { model, hardware, isl, osl, precision } = setting;
  const fits = (count: number, one: SearchSetting): boolean =>
    layoutsOf(model, count, hardware.node.gpus).some(
      ({ placement }) => shortOf(rankLedger({ ...one, placement }), one, isl + osl) <= 0,
    );
  const more = [2, 4, 8, 16, 32, 64]
    .map((times) => gpus * times)
    .find((count) => count <= 4096 && fits(count, setting));
  const narrower = (['fp8', 'fp4'] as const).find(
    (format) => format !== precision && precision !== 'fp4' && fits(gpus, { ...setting, precision: format }),
  );
  const ways = [
    ...(more === undefined ? [] : [`--gpus ${more}`]),
    ...(narrower === undefined ? [] : [`--precision ${narrower}`]),
  ];
  return ways.length === 0 ? 'Try hardware with more memory.' : `Try ${ways.join(', or ')}.`;
}

/** What came of it. @param outcomes by the place of the candidate; absent where it was not reached. */
export function reportSearch(
  setting: SearchSetting,
  gpus: readonly number[],
  targets: Targets,
  plan: SearchPlan,
  outcomes: ReadonlyMap<number, Outcome>,
  given: Placement | undefined,
  interrupted: boolean,
): SearchReport {
  const delivered = plan.candidates.flatMap((candidate, i) => {
    const outcome = outcomes.get(i);
    return outcome === undefined || 'refused' in outcome ? [] : [{ candidate, outcome }];
  });
  const within = delivered.filter(({ outcome }) => meets(outcome, targets));
  const pool = within.length > 0 ? within : delivered;
  const front = new Set(paretoFront(pool.map(({ outcome }) => outcome)));
  const found = delivered
    .map(({ candidate, outcome }) => foundOf(candidate, outcome, setting, targets, front.has(outcome)))
    .sort((a, b) => b.outputTokensPerS / b.gpus - a.outputTokensPerS / a.gpus);
  const { model, hardware, precision, framework } = setting;
  return {
    model: model.name,
    hardware: hardware.name,
    gpus,
    precision,
    framework: framework.name,
    frameworkNamed: setting.named !== undefined,
    workload: workloadOf(setting),
    targets,
    layouts: plan.layouts,
    outOfMemory: plan.outOfMemory + (outcomes.size - delivered.length),
    simulated: delivered.length,
    interrupted,
    found,
    best: found.find((one) => one.meets) ?? null,
    front: found.filter((one) => one.front),
    given: given === undefined ? null : standingOf(given, found),
    givenRefused: given === undefined ? null : refusalOf(given, setting, plan, outcomes),
  };
}

function workloadOf({ isl, osl, concurrency, arrivals }: SearchSetting): SearchWorkload {
  if (arrivals === undefined) return { isl, osl, concurrency, requests: null, ratePerS: null };
  const { requests } = arrivals;
  const seconds = (requests.at(-1)?.arrivalS ?? 0) - (requests[0]?.arrivalS ?? 0);
  const ratePerS = seconds > 0 ? (requests.length - 1) / seconds : null;
  return { isl, osl, concurrency: null, requests: requests.length, ratePerS };
}

/** 'with 512 requests at once of 1024 + 1024 tokens' */
export function workloadText({ isl, osl, concurrency, requests, ratePerS }: SearchWorkload): string {
  const tokens = `of ${Math.round(isl)} + ${Math.round(osl)} tokens`;
  if (concurrency !== null) return `with ${concurrency} requests at once ${tokens}`;
  const rate = ratePerS === null ? 'at once' : `at ${Number(ratePerS.toPrecision(3))} a second`;
  return `with ${requests} requests that come ${rate}, ${tokens}`;
}

/** Why a layout has no place among those that were simulated; null where it has one. */
function refusalOf(
  given: Placement,
  setting: SearchSetting,
  { candidates }: SearchPlan,
  outcomes: ReadonlyMap<number, Outcome>,
): string | null {
  const place = candidates.findIndex(({ placement }) => keyOf(placement) === keyOf(given));
  const outcome = outcomes.get(place);
  if (outcome !== undefined) return 'refused' in outcome ? outcome.refused : null;
  if (place >= 0) return 'The given layout was not reached.';
  try {
    checkPlacement(given, setting.model);
    const placed = { ...setting, placement: given };
    requireFit(rankLedger(placed), placed, setting.isl + setting.osl);
  } catch (error) {
    if (error instanceof ConfigError) return `The given layout: ${error.message}`;
    throw error;
  }
  return 'The given layout gives ranks unequal shares of heads or experts, and was not simulated.';
}

function foundOf(
  { placement, names: [name, ...same] }: Candidate,
  outcome: Delivery,
  { model, hardware, named }: SearchSetting,
  targets: Targets,
  front: boolean,
): Found {
  const region = regionOf(model, hardware, placement, named);
  return {
    layout: name.layout,
    reading: name.reading,
    same,
    placement,
    meets: meets(outcome, targets),
    front,
    cells: {
      ttft_ms: cellOf(outcome.ttftMs, 'ttft', region),
      tpot_ms: cellOf(outcome.tpotMs, 'tpot', region),
      out_tok_s_gpu: cellOf(outcome.outputTokensPerS / outcome.gpus, 'rate', region),
    },
    ...outcome,
  };
}

function standingOf(given: Placement, found: readonly Found[]): Standing | null {
  const own = found.find(({ placement }) => keyOf(placement) === keyOf(given));
  if (own === undefined) return null;
  const peers = found.filter(({ gpus }) => gpus === own.gpus);
  const better = peers.filter((one) => beats(one, own));
  const best = (as: string, of: (one: Found) => number): Better[] => {
    const [first] = [...better].sort((a, b) => of(b) - of(a));
    return first === undefined ? [] : [{ layout: first, as, why: differences(own, first) }];
  };
  const chosen = [
    ...best('Most throughput', (one) => one.outputTokensPerS),
    ...best('Earliest first token', (one) => -one.ttftMs),
    ...best('Least memory', (one) => -one.memoryBytes),
  ];
  return {
    layout: own,
    rank: 1 + peers.filter((one) => one.outputTokensPerS > own.outputTokensPerS).length,
    of: peers.length,
    beaten: better.length,
    better: chosen.filter((one, i) => chosen.findIndex((other) => other.layout === one.layout) === i),
  };
}

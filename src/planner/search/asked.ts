/** What a search is asked for, by names and numbers: checked, and made into a setting with the layouts to simulate. */
import { ConfigError } from '../../core/errors.ts';
import { MOST_SEED, requireInteger } from '../../core/given.ts';
import { maxOf } from '../../core/math.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../../layout/spec.ts';
import type { ModelFacts } from '../models/facts.ts';
import { usualPrecision } from '../project/serving-case.ts';
import { frameworkOf } from '../serving/framework.ts';
import { placementOfLayout, worldGpus, type Placement } from '../serving/placement.ts';
import { precisionNamed } from '../serving/precision.ts';
import { routingHere, type Routing } from '../serving/routing.ts';
import type { OpenWorkload } from '../simulate/workload.ts';
import type { Outcome, SearchSetting } from './evaluate.ts';
import type { Targets } from './front.ts';
import { planSearch, reportSearch, type SearchPlan, type SearchReport } from './search.ts';

/** A search in words and numbers. */
export interface SearchAsked {
  readonly model: ModelFacts;
  readonly hardware: Profile;
  /** How many, or several numbers to compare. */
  readonly gpus: number | readonly number[];
  readonly gpusPerNode?: number;
  /** 'ep=16,pp=4,tp=2,dp=2', to be placed among the others; the reference layout for its own model where it has as many GPUs. */
  readonly layout?: string;
  /** Limits of mean TTFT and TPOT, ms. */
  readonly ttft?: number;
  readonly tpot?: number;
  readonly precision?: string;
  /** That of the model's plain published recipe when absent. */
  readonly framework?: string;
  /** Tokens in and out, nominal: lengths are uniform in 0.8 to 1.0 of them. */
  readonly isl: number;
  readonly osl: number;
  /** Requests that come by themselves; a closed loop when absent. */
  readonly arrivals?: OpenWorkload | undefined;
  /** Requests at once, of all GPUs together, in a closed loop; four a GPU of the largest number when absent. */
  readonly concurrency?: number;
  readonly routing?: string | Routing;
  /** Requests that are simulated for each that is there at once; 5 when absent. */
  readonly rounds?: number;
  readonly seed?: number;
}

/** Beyond, no cluster serves one model. A guess. */
export const MOST_GPUS = 16_384;
const REQUESTS_PER_GPU = 4;
/** The burst at the begin has died down by then, as in `moebius project`. */
const ROUNDS = 5;

/** A search whose layouts are known, and what came of those that were simulated. */
export interface Search {
  readonly setting: SearchSetting;
  readonly plan: SearchPlan;
  /** @param outcomes by the place of the candidate. @param interrupted before all were there. */
  readonly report: (outcomes: ReadonlyMap<number, Outcome>, interrupted: boolean) => SearchReport;
}

/** @throws ConfigError for what is wrong, a model that no layout cuts, or one that fits none of them. */
export function searchOf(asked: SearchAsked): Search {
  const { model, hardware: named, seed = 1, rounds = ROUNDS, isl, osl, arrivals } = asked;
  const gpus = gpusOf(asked.gpus);
  const { concurrency = REQUESTS_PER_GPU * maxOf(gpus) } = asked;
  requireInteger('concurrency', concurrency, 1, 100_000);
  requireInteger('rounds', rounds, 1, 100);
  requireInteger('seed', seed, 0, MOST_SEED);
  for (const name of ['ttft', 'tpot'] as const) {
    const limit = asked[name];
    if (limit !== undefined && !(limit > 0 && Number.isFinite(limit)))
      throw new ConfigError(`${name} (${limit}) must be a number of ms, more than 0.`);
  }
  const gpusPerNode = asked.gpusPerNode ?? named.node.gpus;
  requireInteger('gpusPerNode', gpusPerNode, 1, 65536);
  const setting: SearchSetting = {
    model,
    hardware: { ...named, node: { ...named.node, gpus: gpusPerNode } },
    precision: asked.precision === undefined ? usualPrecision(model, named) : precisionNamed(asked.precision),
    ...frameworkOf(asked.framework, model.name),
    routing: routingHere(asked.routing ?? 'uniform'),
    isl,
    osl,
    ...(arrivals && { arrivals }),
    concurrency,
    rounds,
    seed,
  };
  const given = givenOf(asked.layout, model.name, gpus, gpusPerNode);
  const plan = planSearch(setting, gpus);
  const targets: Targets = {
    ...(asked.ttft !== undefined && { ttftMs: asked.ttft }),
    ...(asked.tpot !== undefined && { tpotMs: asked.tpot }),
  };
  const report: Search['report'] = (outcomes, interrupted) =>
    reportSearch(setting, gpus, targets, plan, outcomes, given, interrupted);
  return { setting, plan, report };
}

/** Ascending, each once. */
function gpusOf(given: number | readonly number[]): number[] {
  const list = typeof given === 'number' ? [given] : [...given];
  if (list.length === 0 || list.length > 16)
    throw new ConfigError(`gpus has ${list.length} numbers; give one, or up to 16.`);
  for (const count of list) requireInteger('gpus', count, 1, MOST_GPUS);
  return [...new Set(list)].sort((a, b) => a - b);
}

/** @throws ConfigError for a layout of another number of GPUs. */
function givenOf(
  layout: string | undefined,
  model: string,
  gpus: readonly number[],
  gpusPerNode: number,
): Placement | undefined {
  if (layout === undefined) {
    const card = placementOfLayout(CARD_LAYOUT, gpusPerNode);
    return model === 'card' && gpus.includes(worldGpus(card)) ? card : undefined;
  }
  const spec = parseLayout(layout);
  const placement = placementOfLayout(spec, gpusPerNode);
  const world = worldGpus(placement);
  if (gpus.includes(world)) return placement;
  throw new ConfigError(
    `${formatLayout(spec)} has ${world} GPUs, and the search is over ${gpus.join(', ')}. Give --gpus ${world}, or another layout.`,
  );
}

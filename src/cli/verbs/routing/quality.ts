/** `moebius routing --quality`: the bundled model's cross-entropy under each overflow policy and capacity. */
import { SILENT, type Progress } from '../../../bench/progress.ts';
import { breathe, throwIfCancelled } from '../../../core/async/cancel.ts';
import { ConfigError } from '../../../core/errors.ts';
import { type Fields, requireOptions } from '../../../core/given.ts';
import { at, ceilDiv, range } from '../../../core/math.ts';
import { balanced } from '../../../laboratory/placements.ts';
import { type Quality, type QualityCase, qualityLab } from '../../../laboratory/quality.ts';
import { loadCheckpoint } from '../../../model/checkpoint.ts';
import { type CapacityRule, requireName } from '../../../routing/capacity.ts';
import { OVERFLOW_POLICIES, type OverflowPolicy } from '../../../routing/policies.ts';
import { TINY_MOE, tokenizerOf } from '../../model.ts';
import { requireInteger } from '../../options.ts';
import { platformHere } from '../../session.ts';
import { parseCapacity } from './capacity-option.ts';

/** Options of `routingQuality`, those of `moebius routing --quality`. */
export interface RoutingQualityOptions {
  /** All when absent. */
  readonly policies?: readonly string[];
  /** Rules such as 'megatron:1.25:global'; a number is Megatron's factor. 0.5 to 2 when absent. */
  readonly capacities?: readonly string[];
  /** Of the validation text that comes with the model; 2,048 when absent. */
  readonly tokens?: number;
  /** That the tokens come in: a capacity is of one. */
  readonly microBatches?: number;
  /** Of `spill`, whose experts have replicas by EPLB; twice as many as experts when absent. */
  readonly slots?: number;
  readonly progress?: Progress;
  /** Calls the work off: the call is rejected with a CancelledError. */
  readonly signal?: AbortSignal;
}

/** The bundled model's loss under one policy and capacity. */
export interface QualityRow {
  readonly policy: OverflowPolicy;
  /** Absent of `dropless`. */
  readonly capacity?: CapacityRule;
  /** Rows that a slot may take in a micro-batch. */
  readonly capacityRows?: number;
  readonly slots: number;
  /** Nats per character, and how much of it is more than without a capacity. */
  readonly crossEntropy: number;
  readonly aboveDropless: number;
  /** Of all rows of all layers; `waited` for a later micro-batch. */
  readonly droppedShare: number;
  readonly movedShare: number;
  readonly waitedShare: number;
  /** Of the router's scores. */
  readonly massLostShare: number;
  readonly droppedShareOfLayers: readonly number[];
  /** Computed on the host in float64, not on an adapter. */
  readonly source: 'float64 reference';
}

/** What `routingQuality` found. */
export interface RoutingQuality {
  readonly model: string;
  readonly tokens: number;
  /** Characters that are predicted: the first of a window is not. */
  readonly predictions: number;
  readonly window: number;
  readonly microBatches: number;
  /** `dropless` first, then by policy and capacity. */
  readonly rows: readonly QualityRow[];
}

const OPTIONS: Fields = {
  ...{ policies: 'list?', capacities: 'list?', tokens: 'number?', microBatches: 'number?', slots: 'number?' },
  ...{ progress: 'record?', signal: 'signal?' },
};
export { OPTIONS as QUALITY_OPTIONS };

export const DEFAULT_CAPACITIES = ['0.5', '0.75', '1', '1.25', '1.5', '2'];
export const QUALITY_DEFAULTS = { tokens: 2048, microBatches: 4 };
/** Rules in one table. A guess: each takes seconds a policy. */
const MOST_RULES = 64;

/**
 * Computes the cross-entropy of the bundled model on its validation text under each policy and capacity, in float64.
 * Takes about a second a row.
 * @throws ConfigError for a policy, capacity or number that cannot be.
 */
export async function routingQuality(options: RoutingQualityOptions = {}): Promise<RoutingQuality> {
  requireOptions('routingQuality', options, OPTIONS);
  const { policies = OVERFLOW_POLICIES, capacities = DEFAULT_CAPACITIES, progress = SILENT } = options;
  const { tokens = QUALITY_DEFAULTS.tokens, microBatches = QUALITY_DEFAULTS.microBatches } = options;
  policies.forEach((policy) => requireName('overflow policy', policy, OVERFLOW_POLICIES));
  if (policies.length === 0) throw new ConfigError('no policy is named; leave --policy out for all of them.');
  if (capacities.length === 0 || capacities.length > MOST_RULES) {
    throw new ConfigError(`there are ${capacities.length} capacities; give from 1 to ${MOST_RULES} of them.`);
  }
  const rules = capacities.map((text) => parseCapacity(text));
  const model = await loadCheckpoint(TINY_MOE, (path) => platformHere().readFile(path));
  const { config } = model;
  const text = new TextDecoder().decode(await platformHere().readFile(`${TINY_MOE}/valid.txt`));
  const ids = tokenizerOf(model).encode(text);
  requireInteger('tokens', tokens, 2, ids.length);
  requireInteger('micro-batches', microBatches, 1, tokens);
  const place = placerOf(options.slots, config.numExperts);
  const window = config.maxPositions;
  const windows = range(ceilDiv(tokens, window)).map((i) =>
    ids.slice(i * window, Math.min(tokens, (i + 1) * window)),
  );

  const lab = await progress.step(
    `Route ${tokens} tokens of ${config.name} without a capacity`,
    () => Promise.resolve(qualityLab(model, windows)),
    ({ droplessNats, predictions }) => `${(droplessNats / predictions).toFixed(4)} nats per character`,
  );
  const rowOf = (test: QualityCase, found: Quality, slots: number): QualityRow => ({
    policy: test.policy,
    ...(test.capacity && { capacity: test.capacity, capacityRows: found.capacity }),
    slots,
    crossEntropy: found.nats / lab.predictions,
    aboveDropless: (found.nats - lab.droplessNats) / lab.predictions,
    droppedShare: found.rows.dropped / found.rows.offered,
    movedShare: found.rows.moved / found.rows.offered,
    waitedShare: found.rows.carried / found.rows.offered,
    massLostShare: found.massLostShare,
    droppedShareOfLayers: found.droppedShareOfLayers,
    source: 'float64 reference',
  });
  const rows: QualityRow[] = [];
  const run = async (policy: OverflowPolicy, capacity?: CapacityRule): Promise<void> => {
    await breathe();
    throwIfCancelled(options.signal);
    const test = { policy, microBatches, place: place(policy), ...(capacity && { capacity }) };
    const slots = test.place(at(lab.load_LE, 0)).placement.numSlots;
    rows.push(rowOf(test, lab.run(test), slots));
  };
  await run('dropless');
  for (const policy of [...new Set(policies)] as OverflowPolicy[]) {
    if (policy === 'dropless') continue;
    await progress.step(policy, async (say) => {
      for (const rule of rules) {
        say(`capacity factor ${rule.factor} of ${rule.convention}`);
        await run(policy, rule);
      }
    });
  }
  return { model: config.name, tokens, predictions: lab.predictions, window, microBatches, rows };
}

/** One slot an expert; of `spill`, which has nothing to spill to then, replicas by each layer's load. */
function placerOf(
  slots: number | undefined,
  experts: number,
): (policy: OverflowPolicy) => QualityCase['place'] {
  const most = 16 * experts;
  if (slots !== undefined) requireInteger('slots', slots, experts, most);
  return (policy) => (load) =>
    policy === 'spill'
      ? balanced('eplb', load, { ranks: experts, slots })
      : balanced('none', load, { ranks: experts });
}

/** An engine before there is a device: the sizes that its limits come to. */
import { ceilDiv } from '../core/math.ts';
import { DEVICE_POLICIES, type DevicePolicy } from '../core/overflow.ts';
import { ConfigError } from '../core/errors.ts';
import { requireFields } from '../core/given.ts';
import { type Layout, planLayout } from '../layout/layout.ts';
import { dtypesOf, type WeightDtypes } from '../model/stored-weights.ts';
import { BIAS_RATE, checkBiasRate } from '../routing/balance/bias.ts';
import { type CapacityRule, checkCapacity, requireName } from '../routing/capacity.ts';
import type { AdmissionRule } from '../routing/device-tables.ts';
import { type ExpertPlacement, isPlain, mostSlotsOfRank } from '../routing/placement.ts';
import { OVERFLOW_POLICIES } from '../routing/policies.ts';
import { type Deal, dealTable, type ReplicaShares } from '../routing/replicas.ts';
import type { WeightDtype } from '../tensor/quantised.ts';
import type { DeviceTraits } from './device-traits.ts';
import {
  type CacheDtype,
  defaultMicroBatches,
  rankSizes,
  type RankSizes,
  worthwhileMicroBatches,
} from './rank-sizes.ts';
import { type Vocabulary, vocabularyPieces } from './vocabulary.ts';

/** The options of an engine that decide how much memory it takes. */
export interface EngineSizing {
  /** Sequences that are alive at once, over all replicas. */
  readonly maxSequences: number;
  /** Positions of one sequence. */
  readonly maxLength: number;
  /** New tokens of one sequence in one step; `maxLength` by default. */
  readonly maxStepTokens?: number;
  /** How matrices are stored on the device; sums are f32 in any case. f32 by default. */
  readonly weightDtype?: WeightDtype;
  /** What each kind of matrix is stored in, where not all in `weightDtype`: see `storedDtypes`. */
  readonly dtypes?: WeightDtypes;
  /** How keys and values are stored; f32 by default. */
  readonly cacheDtype?: CacheDtype;
  /**
   * Ranks of an EP group, neighbours, whose experts one grouped GEMM may serve. By default as many as can be bound;
   * 1 dispatches each rank's by itself, as on a cluster, at the cost of a dispatch per rank without rows.
   */
  readonly mostOwners?: number;
  /** Where the experts lie on the ranks of an EP group, in every layer; by default as the layout has it. */
  readonly placement?: ExpertPlacement;
  /** How an expert's rows are shared out over its replicas; evenly by default. */
  readonly shares?: ReplicaShares;
  /** How many rows a slot takes of a micro-batch, and what becomes of the rest; all by default. */
  readonly capacity?: AdmissionRule;
  /** The router's bias that follows the load of every step; none by default. A bias of the model's own is where it begins. */
  readonly balancer?: BiasBalancer;
  /** Micro-batches of a step; by default one per stage, as far as sequences and tokens make them worthwhile. */
  readonly microBatches?: number;
}

/** DeepSeek-V3's controller without an auxiliary loss: see `updatedBias`. */
export interface BiasBalancer {
  /** By how much a bias changes a step; 0.001 by default. */
  readonly rate?: number;
}

/** How choices become slots, where an expert's number is not its slot, a slot has a capacity, or a bias counts rows. */
export interface AdmissionPlan {
  readonly policy: DevicePolicy;
  readonly rule: CapacityRule | undefined;
  readonly deal: Deal;
  /** Of the bias; undefined without one. */
  readonly rate: number | undefined;
}

export interface EnginePlan {
  readonly layout: Layout;
  readonly sizes: RankSizes;
  readonly weightDtype: WeightDtype;
  readonly dtypes: WeightDtypes;
  readonly vocabulary: Vocabulary;
  /** Micro-batches whose tables exist from the start. */
  readonly microBatches: number;
  readonly admission: AdmissionPlan | undefined;
}

/**
 * @param device the largest buffer that it binds decides how many ranks' experts lie in one stack, and in how many pieces the
 * vocabulary.
 * @throws ConfigError for limits that do not fit the model.
 */
export function planEngine(
  given: Layout,
  sizing: EngineSizing,
  device: Pick<DeviceTraits, 'bindableBytes'>,
): EnginePlan {
  const { placement } = sizing;
  const layout = placement === undefined ? given : planLayout(given.spec, given.model, placement);
  const admission = planAdmission(layout, sizing);
  const { maxSequences, maxLength, maxStepTokens = maxLength } = sizing;
  const weightDtype = sizing.dtypes?.experts ?? sizing.weightDtype ?? 'f32';
  const slots = ceilDiv(maxSequences, layout.attnDp);
  const microBatches =
    sizing.microBatches ?? worthwhileMicroBatches(defaultMicroBatches(layout, slots), slots * maxStepTokens);
  const maxTokens = maxStepTokens * ceilDiv(slots, microBatches);
  const limits = { maxSequences, maxLength, maxTokens };
  const sizes = rankSizes(layout, limits, {
    ...sizing,
    weightDtype,
    bindableBytes: device.bindableBytes,
    admission: admission && {
      turns: admission.deal.turns,
      asks: admission.policy === 'next-best',
      balances: admission.rate !== undefined,
    },
  });
  const dtypes = sizing.dtypes ?? dtypesOf(weightDtype);
  const vocabulary = vocabularyPieces(layout, dtypes, maxTokens, device.bindableBytes);
  return { layout, sizes, weightDtype, dtypes, vocabulary, microBatches, admission };
}

/** @throws ConfigError for a policy, a capacity, shares or a rate that an engine cannot have. */
function planAdmission(layout: Layout, sizing: EngineSizing): AdmissionPlan | undefined {
  const { capacity, balancer, shares } = sizing;
  const { placement } = layout;
  if (capacity !== undefined) checkRule(capacity);
  if (balancer !== undefined) requireFields('The balancer', balancer, { rate: 'number?' });
  const rate = balancer && (balancer.rate ?? BIAS_RATE);
  if (rate !== undefined) checkBiasRate(rate);
  const { policy = 'dropless', rule } = capacity ?? {};
  if (isPlain(placement) && policy === 'dropless' && rate === undefined) return undefined;
  const slots = Math.max(placement.numExperts, placement.numRanks * mostSlotsOfRank(placement));
  if (slots > MOST_DEVICE_SLOTS) {
    throw new ConfigError(
      `${slots} slots of an EP group, as many on every rank as on the fullest, are more than the ${MOST_DEVICE_SLOTS} that a ` +
        `device plans for. Take fewer replicas, or ranks that are more alike.`,
    );
  }
  const single = placement.numSlots === placement.numExperts;
  const deal = dealTable(placement, shares, single ? 1 : undefined);
  return { policy: policy as DevicePolicy, rule: policy === 'dropless' ? undefined : rule, deal, rate };
}

/** Counters of so many lie in workgroup storage. */
const MOST_DEVICE_SLOTS = 512;

/** @throws ConfigError for a policy or a capacity that an engine cannot have. */
export function checkRule(capacity: AdmissionRule): void {
  requireFields('The capacity', capacity, { policy: 'string', rule: 'record?' });
  const { policy, rule } = capacity;
  requireName('overflow policy', policy, OVERFLOW_POLICIES);
  if (policy === 'carry') {
    throw new ConfigError(
      'the policy carry would keep a row for the next micro-batch, but the next layer needs the sum of all rows of a token: ' +
        `an engine cannot wait. Take one of ${DEVICE_POLICIES.join(', ')}.`,
    );
  }
  if (rule !== undefined) checkCapacity(rule);
  else if (policy !== 'dropless') {
    throw new ConfigError(`the policy ${policy} needs a capacity; give one, or take dropless.`);
  }
}

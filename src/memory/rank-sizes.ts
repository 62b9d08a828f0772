/** What one rank holds: derived once from model, layout and the limits that the user sets. Integers only. */
import { ConfigError } from '../core/errors.ts';
import { ceilDiv, divisorsOf, roundUp } from '../core/math.ts';
import { WEIGHT_DTYPES, type WeightDtype } from '../tensor/quantised.ts';
import { isIndexable, requireIndexable, weightBytes } from '../tensor/weight-bytes.ts';
import type { Layout } from '../layout/layout.ts';
import { tileCapacity } from '../core/plan-sizes.ts';
import { mostSlotsOfRank } from '../routing/placement.ts';

export interface EngineLimits {
  /** Sequences that are alive at once. */
  readonly maxSequences: number;
  /** Positions of one sequence, prompt and continuation. */
  readonly maxLength: number;
  /** Tokens of one TP group in one micro-batch. */
  readonly maxTokens: number;
}

/** How keys and values are stored; scores and sums are f32 in any case. */
export const CACHE_DTYPES = ['f32', 'f16'] as const;
export type CacheDtype = (typeof CACHE_DTYPES)[number];

/** How things are stored, and how much of them a kernel can be given at once. */
export interface Storage {
  readonly cacheDtype?: CacheDtype;
  readonly weightDtype?: WeightDtype;
  /** Most ranks whose experts may lie in one stack; no limit by default. */
  readonly mostOwners?: number | undefined;
  /** The largest buffer that the adapter makes and binds; by default the least that WebGPU promises. */
  readonly bindableBytes?: number;
  readonly admission?: AdmissionSizes | undefined;
}

/** What decides how much the admission of choices to slots takes. */
export interface AdmissionSizes {
  /** Of the table that deals rows to replicas. */
  readonly turns: number;
  /** Whether next-best experts are asked, by the router's logits. */
  readonly asks: boolean;
  /** Whether every layer has a bias that follows its load. */
  readonly balances: boolean;
}

/** S ranks per stage, G attention groups; the rest per rank. */
export interface RankSizes extends EngineLimits {
  readonly numRanks: number;
  readonly numGroups: number;
  readonly modelDim: number;
  readonly headDim: number;
  /** Query and KV heads of one rank. */
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly numExperts: number;
  /** Slots for experts of the fullest rank. On a device slots are numbered as if all ranks had so many. */
  readonly localExperts: number;
  /** Those of an EP group: the experts unless a placement gives some replicas, or ranks different numbers. */
  readonly numSlots: number;
  readonly expertDim: number;
  readonly topK: number;
  readonly vocabSize: number;
  /** Tokens that a rank keeps between reduce-scatter and all-gather, at most. */
  readonly shareTokens: number;
  /** Rows that a rank sends to experts, at most. */
  readonly sendRows: number;
  /**
   * Neighbours in an EP group whose experts lie in one stack: on one device, a dispatch serves them all. A divisor of
   * EP, the largest whose stack and hidden rows can be bound; 1 where ranks hold different numbers of experts.
   */
  readonly owners: number;
  /**
   * Rows that its experts can receive: every token of the EP group, min(K, local experts) times, rounded up so that the
   * parts of neighbours are whole rows apart.
   */
  readonly receiveRows: number;
  /** Sequences whose KV cache a rank holds. */
  readonly cacheSlots: number;
  readonly cacheDtype: CacheDtype;
  /** Width of the plain units beside or in place of routed experts, the widest; 0 without any. */
  readonly unitDim: number;
  /** Of an engine whose choices are given slots after the router; without it an expert's number is its slot. */
  readonly admission: AdmissionSizes | undefined;
  /** Queries and keys are normalised over the heads of all ranks. */
  readonly widthNorm: boolean;
}

/**
 * @throws ConfigError for limits that are no positive integers or exceed what the model was made for, and for experts
 * of a rank that together have 2^32 values.
 */
export function rankSizes(layout: Layout, limits: EngineLimits, storage: Storage = {}): RankSizes {
  const { model, spec } = layout;
  const { cacheDtype = 'f32', weightDtype = 'f32', bindableBytes = 1 << 27, mostOwners = Infinity } = storage;
  for (const [name, value] of Object.entries(limits) as [keyof EngineLimits, number][]) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ConfigError(`${name} is ${value}; it must be an integer of at least 1.`);
    }
  }
  if (limits.maxLength > model.maxPositions) {
    throw new ConfigError(
      `maxLength ${limits.maxLength} exceeds the ${model.maxPositions} positions that ${model.name} was made for. ` +
        `Ask for fewer tokens or a shorter prompt.`,
    );
  }
  if (model.headDim % 2 !== 0) {
    throw new ConfigError(
      `headDim ${model.headDim} is odd; rotary embedding turns pairs. Use an even head size.`,
    );
  }
  if (!CACHE_DTYPES.includes(cacheDtype)) {
    throw new ConfigError(`cacheDtype (${String(cacheDtype)}) must be one of ${CACHE_DTYPES.join(', ')}.`);
  }
  if (!WEIGHT_DTYPES.includes(weightDtype)) {
    throw new ConfigError(`weightDtype (${String(weightDtype)}) must be one of ${WEIGHT_DTYPES.join(', ')}.`);
  }
  if (cacheDtype === 'f16' && model.headDim % 4 !== 0) {
    throw new ConfigError(
      `headDim ${model.headDim} is not a multiple of 4; a cache in f16 packs two halves to a word. Use cacheDtype f32.`,
    );
  }
  const { placement } = layout;
  const localExperts = mostSlotsOfRank(placement);
  const even = placement.numSlots === spec.ep * localExperts;
  const shareTokens = ceilDiv(limits.maxTokens, spec.tp);
  if (!(mostOwners >= 1)) {
    throw new ConfigError(`mostOwners is ${mostOwners}; a stack holds the experts of at least 1 rank.`);
  }
  const tokens = spec.ep * shareTokens;
  const received = tokens * Math.min(model.topK, localExperts);
  const receiveRows = spec.ep === 1 ? received : roundUp(received, wholeParts(model.modelDim));
  requireIndexable("The stack of one rank's experts", [localExperts, model.expertDim, model.modelDim]);
  const owners = divisorsOf(spec.ep).filter((n) => {
    if (n > mostOwners || (n > 1 && !even)) return false;
    const experts = n * localExperts;
    const stack = [experts, model.expertDim, model.modelDim];
    if (!isIndexable(stack)) return false;
    const up = weightBytes(weightDtype, stack);
    const down = weightBytes(weightDtype, [experts, model.modelDim, model.expertDim]);
    const hidden = 4 * n * receiveRows * model.expertDim;
    return (
      Math.max(up, down, hidden) <= bindableBytes && tokens * Math.min(model.topK, experts) <= MOST_TILES
    );
  });
  return {
    ...limits,
    numRanks: layout.ranksPerStage,
    numGroups: layout.attnDp,
    modelDim: model.modelDim,
    headDim: model.headDim,
    numHeads: layout.headsOf(0).count,
    numKvHeads: layout.kvHeadsOf(0).count,
    numExperts: model.numExperts,
    localExperts,
    numSlots: spec.ep * localExperts,
    expertDim: model.expertDim,
    topK: model.topK,
    vocabSize: model.vocabSize,
    shareTokens,
    sendRows: shareTokens * model.topK,
    owners: owners.at(-1) ?? 1,
    receiveRows,
    cacheSlots: ceilDiv(limits.maxSequences, layout.attnDp),
    cacheDtype,
    admission: storage.admission,
    unitDim: Math.max(model.shared?.dim ?? 0, model.dense?.dim ?? 0),
    widthNorm: model.attention?.qkNorm === 'width',
  };
}

/** Workgroups of a grid's dimension on every adapter: a list of tiles, which may be of one row each, is one. */
const MOST_TILES = 65535;

/**
 * Why tiles of at most `tileRows` rows could be more than one dimension of a grid holds; undefined when they cannot. The
 * GPU counts them, and a dispatch of more than `most` would be left out without a word.
 */
export function tilesRefusal(
  z: Pick<RankSizes, 'shareTokens' | 'topK' | 'owners' | 'localExperts' | 'numSlots' | 'maxTokens'>,
  tileRows: number,
  most: number,
): string | undefined {
  const experts = z.owners * z.localExperts;
  const tokens = (z.numSlots / z.localExperts) * z.shareTokens;
  const tiles = tileCapacity(tokens * Math.min(z.topK, experts), experts, tileRows);
  if (tiles <= most) return undefined;
  return (
    `maxTokens ${z.maxTokens} may give ${experts} experts ${tiles} tiles of ${tileRows} rows, but a grid holds ${most}. ` +
    `Use fewer tokens per micro-batch, or a layout with more expert-parallel ranks.`
  );
}

/** Fewest rows of `width` f32 that are a multiple of 256 bytes, which every adapter can bind at. */
function wholeParts(width: number): number {
  let rows = 1;
  while ((rows * width) % 64 !== 0) rows *= 2;
  return rows;
}

/** Micro-batches that a pipeline of this depth wants: one per stage, if there are that many sequences to cut. */
export function defaultMicroBatches(layout: Layout, sequencesPerGroup: number): number {
  const fitting = divisorsOf(Math.max(1, sequencesPerGroup)).filter((d) => d <= layout.spec.pp);
  return fitting.at(-1) ?? 1;
}

/** Below this many tokens per group a micro-batch is mostly dispatches. A guess. */
const LEAST_TOKENS = 128;

/**
 * How many of the prepared micro-batches a step is worth: as many as leave each at least 128 tokens per group.
 * 256 tokens of a group in up to 4 -> 2; 32 tokens -> 1.
 */
export function worthwhileMicroBatches(prepared: number, tokensOfFullestGroup: number): number {
  return Math.max(1, Math.min(prepared, Math.floor(tokensOfFullestGroup / LEAST_TOKENS)));
}

/** Bytes of one rank of a serving layout: what lies there, and how much of the context fits beside it. */
import { ConfigError } from '../../core/errors.ts';
import { ceilDiv } from '../../core/math.ts';
import type { Profile } from '../../hardware/profiles/profile.ts';
import { totalBytes, type MemoryItem } from '../../memory/lists.ts';
import {
  attentionWeights,
  cacheElements,
  cachedLayers,
  countsOf,
  mixtureLayers,
  type ModelFacts,
} from '../models/facts.ts';
import type { Framework } from './framework.ts';
import type { Placement } from './placement.ts';
import { formatsOf, type Precision } from './precision.ts';

/** Positions of one page of the cache, as vLLM has them. */
const PAGE = 16;

/** Bytes of the fullest rank. */
export interface RankLedger {
  readonly weights: number;
  /** Of one position of one attention group, of the layers and heads of the rank. */
  readonly cachePerPosition: number;
  readonly positionsPerPage: number;
  /** Rows between layers, twice: one buffer is filled while the other is read; and a layer's own. */
  readonly stagingBuffers: readonly MemoryItem[];
  /** What collectives send and receive: a buffer of each, so that one goes out while the other comes in. */
  readonly communicationBuffers: readonly MemoryItem[];
  /** All bytes of these. */
  readonly staging: number;
  readonly communication: number;
  readonly memory: number;
  /** Left for pages, of what the framework may take. */
  readonly forCache: number;
  /** Positions of an attention group that fit, whole pages; 0 when not even the weights do. */
  readonly capacity: number;
}

export interface LedgerSetting {
  readonly model: ModelFacts;
  readonly hardware: Profile;
  readonly placement: Placement;
  readonly precision: Precision;
  readonly framework: Pick<Framework, 'maxTokens' | 'memoryShare'>;
}

/** What programs are told that there is, or as many bytes as are printed. */
const memoryBytes = ({ memory: { gb, mib } }: Profile): number =>
  mib === undefined ? gb * 1e9 : mib * 2 ** 20;

const bytesOf = (weights: number, bits: number): number => Math.ceil((weights * bits) / 8);

/** What a rank holds. Embedding and head are cut over TP and lie on the first and the last stage. */
export function rankLedger({ model, hardware, placement, precision, framework }: LedgerSetting): RankLedger {
  const { attnTp, attnDp, pp, moeTp, ep } = placement;
  const counts = countsOf(model);
  const formats = formatsOf(model, precision, hardware);
  const slots = placement.expertSlots ?? model.experts;
  // The fullest stage has whole layers, mixtures where there are any; of those with a cache its part.
  const mixtures = mixtureLayers(model);
  const fullest = ceilDiv(model.layers, pp);
  const routed = Math.min(mixtures, fullest);
  const cached = ceilDiv(cachedLayers(model) * fullest, model.layers);
  const dense =
    cached * attentionWeights(model, attnTp) +
    (fullest - cached) * (counts.linear / attnTp) +
    (fullest - routed) * (counts.dense / attnTp) +
    routed * (counts.shared / (attnDp > 1 ? 1 : attnTp));
  const experts = (routed * ceilDiv(slots, ep) * counts.expert) / moeTp;
  const wide = routed * counts.router + (counts.embedding + counts.head) / attnTp / (pp > 1 ? 2 : 1);
  const weights =
    bytesOf(dense, formats.dense.weightBits) +
    bytesOf(experts, formats.experts.weightBits) +
    bytesOf(wide, 16);
  const perPosition = (cached * cacheElements(model, attnTp) * formats.cache.weightBits) / 8;
  const rows = framework.maxTokens * model.modelDim * 2;
  const copies = attnDp > 1 && mixtures > 0 ? Math.min(model.topK, ep) : 1;
  const stagingBuffers = [
    { name: 'staging/rows between layers', bytes: rows, count: 2 },
    {
      name: mixtures > 0 ? 'staging/rows of experts' : 'staging/rows within a layer',
      bytes: Math.ceil((rows * Math.max(model.topK, 1)) / moeTp),
      count: 1,
    },
  ];
  const communicationBuffers =
    attnTp * attnDp === 1
      ? []
      : ['send', 'receive'].map((name) => ({
          ...{ name: `communication/${name}`, bytes: rows * copies, count: 1 },
        }));
  const staging = totalBytes(stagingBuffers);
  const communication = totalBytes(communicationBuffers);
  const memory = memoryBytes(hardware);
  const forCache = Math.max(0, memory * framework.memoryShare - weights - staging - communication);
  const capacity = Math.floor(forCache / (perPosition * PAGE)) * PAGE;
  return {
    weights,
    cachePerPosition: perPosition,
    positionsPerPage: PAGE,
    stagingBuffers,
    communicationBuffers,
    staging,
    communication,
    memory,
    forCache,
    capacity,
  };
}

/** Bytes of whole pages for so many sequences of so many positions. */
export function cacheBytes(
  { cachePerPosition, positionsPerPage }: RankLedger,
  sequences: number,
  positions: number,
): number {
  return sequences * ceilDiv(positions, positionsPerPage) * positionsPerPage * cachePerPosition;
}

/** Bytes that a rank has too few for one sequence of so many positions; none or less where it fits. */
export function shortOf(
  ledger: RankLedger,
  { framework }: Pick<LedgerSetting, 'framework'>,
  positions: number,
): number {
  const { weights, staging, communication, memory } = ledger;
  return Math.ceil(
    weights + staging + communication + cacheBytes(ledger, 1, positions) - memory * framework.memoryShare,
  );
}

/** @throws ConfigError saying by how much it does not fit, and what would make it. */
export function requireFit(ledger: RankLedger, setting: LedgerSetting, positions: number): void {
  const need = cacheBytes(ledger, 1, positions);
  const short = shortOf(ledger, setting, positions);
  if (short <= 0) return;
  const { model, hardware, placement, precision } = setting;
  const have = Math.floor(ledger.memory * setting.framework.memoryShare);
  const fixed = ledger.staging + ledger.communication;
  const times = Math.ceil((ledger.weights + need) / Math.max(1, have - fixed));
  const narrower =
    precision === 'bf16' ? ', or fp8 weights' : precision === 'fp8' ? ', or 4-bit weights' : '';
  throw new ConfigError(
    `${model.name} does not fit: a rank of ${hardware.name} is short of ${short} bytes (${(short / 1e9).toFixed(1)} GB) ` +
      `of the ${(have / 1e9).toFixed(1)} GB that it may use. Weights are ${(ledger.weights / 1e9).toFixed(1)} GB a rank. ` +
      `Try about ${times} times as many GPUs per instance (${placement.attnTp * placement.attnDp * placement.pp * times})${narrower}.`,
  );
}

/**
 * Words (4 bytes) of every array that an engine writes. What allocates takes its sizes from here, and so does the list
 * that predicts.
 */
import { partsWords } from '../core/key-parts.ts';
import { balancedRun } from '../core/math.ts';
import {
  admissionWords,
  GRID_WORDS,
  planScratchWords,
  TILE_WORDS,
  tileCapacity,
} from '../core/plan-sizes.ts';
import type { Layout, Run } from '../layout/layout.ts';
import { BYTES_OF } from '../tensor/tensor.ts';
import type { DeviceTraits } from './device-traits.ts';
import type { RankSizes } from './rank-sizes.ts';
import { cachedElements } from './shapes.ts';

export type SymmetricName =
  | 'x' // [T, D] residual stream of the TP group's tokens, whole on every member
  | 'partial' // [T, D] this rank's heads through its part of the output projection
  | 'attended' // [share, D] the summed output projection of its share of the tokens
  | 'mixed' // [share, D] the layer's output for its share
  | 'start' // [P + 1] first send row of every slot, P slots: the experts by default
  | 'starts' // [ep, P + 1] those of the whole EP group
  | 'receiveStart' // [local E, ep]
  | 'tiles' // [tiles, 4] of the grouped GEMM: a list lies in the parts of the ranks that it serves
  | 'grid' // [2, 4] its indirect grids, in the part of the first of them
  | 'send' // [share K, D] rows sorted by expert
  | 'receive' // [rows, D] rows of the local experts
  | 'expertOut' // [rows, D]
  | 'returned' // [share K, D] expert outputs, back in send order
  | 'ids' // [share, K] chosen experts, of an engine that admits them to slots
  | 'scores' // [share, K] what they weigh
  | 'logits' // [share, E] of a router whose next-best experts are asked
  | 'slots' // [share, K] where they are admitted
  | 'admission' // counts, an account and scratch of that
  | 'squares' // [T, 2] sums of squares of its queries and keys
  | 'allSquares'; // [T, 2] those of the whole TP group

export type PrivateName =
  | 'normed'
  | 'qkv'
  | 'q'
  | 'heads'
  | 'sum'
  | 'routed'
  | 'logits'
  | 'ids'
  | 'scores'
  | 'slot'
  | 'rowToken'
  | 'planScratch';

/** Sizes of groups: a group of one makes arrays needless, its collectives would only copy. */
export interface GroupSizes {
  readonly tp: number;
  readonly ep: number;
}

/** One rank's part of each symmetric array of a stage. */
export function symmetricWords(z: RankSizes, { tp, ep }: GroupSizes): Map<SymmetricName, number> {
  const D = z.modelDim;
  const words: [SymmetricName, number][] = [
    ['x', z.maxTokens * D],
    ['partial', z.maxTokens * D],
    ['start', z.numSlots + 1],
    ['tiles', TILE_WORDS * tileCapacity(z.receiveRows, z.localExperts, 1)],
    ['grid', GRID_WORDS],
    ['expertOut', z.receiveRows * D],
  ];
  if (z.widthNorm) words.push(['squares', 2 * z.maxTokens]);
  if (z.widthNorm && tp > 1) words.push(['allSquares', 2 * z.maxTokens]);
  if (z.admission !== undefined) {
    words.push(['ids', z.sendRows], ['scores', z.sendRows], ['slots', z.sendRows]);
    words.push(['admission', admissionWords({ ...z, mostChoices: z.sendRows })]);
    if (z.admission.asks) words.push(['logits', z.shareTokens * z.numExperts]);
  }
  if (tp > 1) words.push(['attended', z.shareTokens * D], ['mixed', z.shareTokens * D]);
  if (ep > 1) {
    words.push(
      ['starts', ep * (z.numSlots + 1)],
      ['receiveStart', z.localExperts * ep],
      ['send', z.sendRows * D],
      ['receive', z.receiveRows * D],
      ['returned', z.sendRows * D],
    );
  }
  return new Map(words);
}

/** What a ledger counts arrays as: rows on their way through layers and stages, what collectives reach, scratch of one rank. */
export type ArrayPurpose = 'staging' | 'communication' | 'workspace';

const OF_TP: readonly SymmetricName[] = ['partial', 'attended', 'mixed', 'squares', 'allSquares'];
const OF_EP: readonly SymmetricName[] = [
  ...(['start', 'starts', 'receiveStart'] as const),
  ...(['send', 'receive', 'expertOut', 'returned'] as const),
];

/** A group of one communicates nothing: its arrays are scratch. */
export function purposeOf(name: SymmetricName, { tp, ep }: GroupSizes): ArrayPurpose {
  if (name === 'x') return 'staging';
  const reached = (tp > 1 && OF_TP.includes(name)) || (ep > 1 && OF_EP.includes(name));
  return reached ? 'communication' : 'workspace';
}

/** Values of a row before and behind the projections around attention. */
export function projectedWidths({
  modelDim,
  headDim,
  numHeads,
  numKvHeads,
}: RankSizes): Record<'normed' | 'qkv' | 'heads', number> {
  return { normed: modelDim, qkv: (numHeads + 2 * numKvHeads) * headDim, heads: numHeads * headDim };
}

/** Every private array of one rank of a stage; what collectives reach on it is no private one. */
export function privateWords(z: RankSizes): Record<PrivateName, number> {
  const D = z.modelDim;
  const { normed, qkv, heads } = projectedWidths(z);
  return {
    normed: z.maxTokens * normed,
    qkv: z.maxTokens * qkv,
    q: z.maxTokens * heads,
    heads: z.maxTokens * heads,
    sum: z.shareTokens * D,
    routed: z.shareTokens * D,
    logits: z.admission?.asks ? 0 : z.shareTokens * z.numExperts,
    ids: z.admission ? 0 : z.sendRows,
    scores: z.admission ? 0 : z.sendRows,
    slot: z.sendRows,
    rowToken: z.sendRows,
    planScratch: planScratchWords(z.sendRows, z.numSlots),
  };
}

/** Scratch of the plain units of one rank, and the residual with the shared expert's rows; empty without units. */
export type UnitName = 'unitUp' | 'unitHidden' | 'unitOut' | 'joined';

export function unitWords({ unitDim, shareTokens, modelDim }: RankSizes): [UnitName, number][] {
  if (unitDim === 0) return [];
  return [
    // With room for the logit of a whole unit.
    ['unitUp', shareTokens * (2 * unitDim + 1)],
    ['unitHidden', shareTokens * unitDim],
    ['unitOut', shareTokens * modelDim],
    ['joined', shareTokens * modelDim],
  ];
}

/** [rows, F] between the two products, of the ranks that share a stack of experts. */
export function hiddenWords({ owners, receiveRows, expertDim }: RankSizes): number {
  return owners * receiveRows * expertDim;
}

/** Bytes of one rank's K (or V) cache of one layer: [slots, length, KVl, Dh]. */
export function cacheBytes(z: RankSizes): number {
  return BYTES_OF[z.cacheDtype] * z.cacheSlots * z.maxLength * cachedElements(z.headDim, z.numKvHeads);
}

/** What attention keeps between its dispatches, one token per sequence: one buffer for all ranks, which take turns. */
export function attentionWords(z: RankSizes, traits: DeviceTraits): number {
  return traits.splitsKeys(z) ? partsWords(z.cacheSlots, z.numHeads, z.headDim, z.maxLength) : 0;
}

/** A rank of the last stage on its way to logits, which lie piece by piece. @param columns of the first TP member's pieces. */
export function headWords(
  z: RankSizes,
  columns: readonly Run[],
): { readonly rows: number; readonly normed: number; readonly logits: readonly number[] } {
  const rows = z.maxTokens * z.modelDim;
  return { rows, normed: rows, logits: columns.map(({ count }) => z.maxTokens * count) };
}

/** Rows of the vocabulary that a TP member of the last stage scores. */
export function vocabularyOf(layout: Layout, tp: number): Run {
  const [first, count] = balancedRun(layout.model.vocabSize, layout.spec.tp, tp);
  return { first, count };
}

export type TableName = 'ids' | 'place' | 'sequences' | 'rows';

/** Each table of a micro-batch, per attention group. */
export function tableWords(z: RankSizes): Record<TableName, number> {
  return {
    ids: z.maxTokens,
    place: 2 * z.maxTokens,
    sequences: 4 * Math.min(z.maxTokens, z.cacheSlots),
    rows: z.maxTokens,
  };
}

/** Tables about all ranks of a stage: which rows each keeps (per micro-batch), and the groups of an axis. */
export function stageTableWords(
  numRanks: number,
): Record<'shares' | 'members' | 'ofRank' | 'admission', number> {
  return { shares: 4 * numRanks, members: numRanks, ofRank: 4 * numRanks, admission: 4 * numRanks };
}

/** cos and sin of every position. */
export function ropeWords({ maxLength, headDim }: RankSizes): number {
  return maxLength * headDim;
}

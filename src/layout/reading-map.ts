/** Every reading of a tuple that is consistent, as a drawing: who shares attention, who shares experts. */
import { requireFields } from '../core/given.ts';
import { range } from '../core/math.ts';
import { CELL, cell, frame, sheet, text } from './map-drawing.ts';
import { formatFactors, readingsOf, type Factor, type Reading, type ReadingId } from './readings.ts';
import { formatLayout, type LayoutSpec } from './spec.ts';
import { plural } from './text.ts';

const LEFT = 80;
const TOP = 56;
/** Above the cells of a reading: its name, and its two views. */
const HEAD = 62;
/** Cells beyond are too many to look at. Guesses. */
const MOST_STAGES = 8;
const MOST_RANKS = 64;

/** Readings whose dp counts replicas: their ranks are numbered replica by replica. */
const OF_REPLICAS: readonly ReadingId[] = ['folded', 'orthogonal', 'expert-tensor'];

/** A rank of a stage under a reading. */
export interface ReadRank {
  readonly rank: number;
  readonly attentionGroup: number;
  readonly tp: number;
  /** Which of the parts that the experts of a layer are dealt to. */
  readonly ep: number;
  /** Of each of its experts, where they are cut. */
  readonly piece: number;
  /** Which of the ranks that hold the same. */
  readonly copy: number;
}

interface Sizes {
  readonly tp: number;
  readonly pp: number;
  readonly etp: number;
  readonly ep: number;
  /** Ranks of a stage. */
  readonly stage: number;
}

function sizesOf({ attention, expert }: NonNullable<Reading['views']>): Sizes {
  const of = (view: readonly Factor[], name: string): number =>
    view.find(({ axis }) => axis === name)?.size ?? 1;
  const tp = of(attention, 'tp');
  return {
    ...{ tp, pp: of(attention, 'pp'), stage: tp * of(attention, 'attnDp') },
    ...{ etp: of(expert, 'etp'), ep: of(expert, 'ep') },
  };
}

/** Rank i of a stage of a consistent reading. */
function readRank(
  id: ReadingId,
  { tp, pp, etp, ep, stage: size }: Sizes,
  dp: number,
  stage: number,
  i: number,
): ReadRank {
  const perReplica = OF_REPLICAS.includes(id) ? size / dp : size;
  const replica = Math.floor(i / perReplica);
  // Neighbours hold the same experts where TP multiplies the world, pieces of them where it cuts them.
  const run = id === 'orthogonal' ? tp : etp;
  const group = Math.floor(i / run);
  return {
    rank: (replica * pp + stage) * perReplica + (i % perReplica),
    attentionGroup: Math.floor(i / tp),
    tp: i % tp,
    ep: group % ep,
    piece: i % etp,
    copy: id === 'orthogonal' ? (i % tp) + tp * Math.floor(group / ep) : Math.floor(group / ep),
  };
}

/** All ranks of a stage under a consistent reading, in their order. */
export function ranksOfReading(spec: LayoutSpec, { id, views }: Reading, stage: number): ReadRank[] {
  if (views === null) return [];
  const sizes = sizesOf(views);
  return range(sizes.stage).map((i) => readRank(id, sizes, spec.dp, stage, i));
}

/**
 * A panel for each reading that is consistent, of those with so many GPUs where a number is given and one has it: rows
 * are stages, frames TP groups; a cell has its rank and which part of the experts it holds. What fails is told.
 */
export function drawReadings(spec: LayoutSpec, gpus?: number): string {
  requireFields('The layout', spec, { ep: 'number', pp: 'number', tp: 'number', dp: 'number' });
  const all = readingsOf(spec, gpus);
  const consistent = all.filter((reading) => reading.views !== null);
  const matching = consistent.filter(({ matchesGpus }) => matchesGpus === true);
  const shown = matching.length > 0 ? matching : consistent;
  const parts: string[] = [];
  let y = TOP;
  let width = 640;
  for (const reading of shown) {
    const { views, id, title, meaning, worldSize } = reading;
    if (views === null) continue;
    const sizes = sizesOf(views);
    const stages = Math.min(sizes.pp, MOST_STAGES);
    const drawn = Math.min(sizes.stage, MOST_RANKS);
    const xOf = (i: number): number =>
      LEFT + i * (CELL.width + CELL.gap) + Math.floor(i / sizes.tp) * CELL.groupGap;
    const views2 = `attention ${formatFactors(views.attention)}; experts ${formatFactors(views.expert)}`;
    const left = [
      ...(stages < sizes.pp ? [`stages ${stages} to ${sizes.pp - 1} are left out`] : []),
      ...(drawn < sizes.stage ? [`of ${sizes.stage} ranks of a stage ${drawn} are shown`] : []),
    ];
    parts.push(text(12, y + 16, `${id}: ${title}, ${plural(worldSize, 'GPU')}`, 'label'));
    parts.push(text(12, y + 32, meaning, 'small'), text(12, y + 48, [views2, ...left].join('; '), 'small'));
    width = Math.max(
      width,
      xOf(drawn - 1) + CELL.width + 16,
      12 + 6.2 * Math.max(meaning.length, [views2, ...left].join('; ').length),
    );
    y += HEAD;
    for (const stage of range(stages)) {
      parts.push(text(12, y + 20, `stage ${stage}`, 'small'));
      for (const i of range(drawn)) {
        const one = readRank(id, sizes, spec.dp, stage, i);
        parts.push(
          cell(xOf(i), y, stage, {
            rank: one.rank,
            held: heldBy(one, sizes),
            told: tellRank(one, stage, sizes),
          }),
        );
      }
      for (let i = 0; i < drawn; i += sizes.tp) {
        parts.push(frame(xOf(i), xOf(Math.min(i + sizes.tp, drawn) - 1), y));
      }
      y += CELL.height + CELL.gap;
    }
    y += 20;
  }
  for (const { id, reason } of all) {
    if (reason === null) continue;
    parts.push(text(12, y + 4, `${id}: impossible, ${reason}`, 'small'));
    width = Math.max(width, 24 + 6.2 * (id.length + reason.length + 16));
    y += 18;
  }
  const title = `Readings of ${formatLayout(spec)}${gpus === undefined ? '' : ` on ${plural(gpus, 'GPU')}`}`;
  const none = gpus !== undefined && matching.length === 0 ? ` (none has ${gpus})` : '';
  const heads = [
    text(12, 22, title + none, 'title'),
    text(12, 42, 'frames: TP groups; ep: which part of the experts a rank holds; rows: stages', 'small'),
  ];
  return sheet(title, Math.ceil(width), y + 12, [...heads, ...parts]);
}

const heldBy = ({ ep, piece }: ReadRank, { etp }: Sizes): string =>
  etp === 1 ? `ep ${ep}` : `ep ${ep} ${piece + 1}/${etp}`;

function tellRank(
  { rank, attentionGroup, tp, ep, piece, copy }: ReadRank,
  stage: number,
  sizes: Sizes,
): string {
  const cut = sizes.etp === 1 ? '' : `, piece ${piece} of ${sizes.etp}`;
  return `rank ${rank}: stage ${stage}, attention group ${attentionGroup}, TP index ${tp}, EP part ${ep} of ${sizes.ep}${cut}, copy ${copy}`;
}

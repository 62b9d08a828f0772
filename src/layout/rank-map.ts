/** The ranks of a layout as a drawing: SVG text that stands alone, light or dark. */
import { requireFields } from '../core/given.ts';
import { at, range } from '../core/math.ts';
import type { LayoutExplanation, RankShare } from './explain.ts';
import { CELL, cell, frame, sheet, text } from './map-drawing.ts';
import { formatIds, formatRun } from './text.ts';

const LEFT = 96;
const TOP = 64;
const REPLICA_GAP = 26;
/** Cells beyond are too many to look at: the first replicas and the first TP groups are drawn. Guesses. */
const MOST_REPLICAS = 4;
const MOST_STAGES = 32;
const MOST_RANKS = 64;

/**
 * A map of who is who: a block per replica, a row per stage, a cell per rank with its number and its experts; a frame
 * around each TP group, a bar over each EP group. Everything that is left out is said.
 */
export function drawRanks(explanation: LayoutExplanation): string {
  requireFields('The explanation', explanation, { spec: 'record', ranks: 'list', layout: 'string' });
  const { spec, ranks, layout, model, worldSize } = explanation;
  const { ep, pp, tp, dp } = spec;
  const replicas = Math.min(dp, MOST_REPLICAS);
  const stages = Math.min(pp, MOST_STAGES);
  const shown = ep <= MOST_RANKS ? ep : Math.max(tp, Math.floor(MOST_RANKS / tp) * tp);
  const drawn = Math.min(shown, MOST_RANKS * 4);
  const block = stages * (CELL.height + CELL.gap) + REPLICA_GAP;
  const xOf = (e: number): number => LEFT + e * (CELL.width + CELL.gap) + Math.floor(e / tp) * CELL.groupGap;
  const yOf = (replica: number, stage: number): number =>
    TOP + replica * block + REPLICA_GAP + stage * (CELL.height + CELL.gap);
  const width = Math.max(xOf(drawn - 1) + CELL.width + 16, 560);
  const height = TOP + replicas * block + 34;
  const left = [
    ...(replicas < dp ? [`replicas ${replicas} to ${dp - 1} are alike`] : []),
    ...(stages < pp ? [`stages ${stages} to ${pp - 1} are left out`] : []),
    ...(drawn < ep ? [`of ${ep} ranks of a stage ${drawn} are shown`] : []),
  ];
  const title = `${layout} with model ${model}: ${worldSize} ${worldSize === 1 ? 'GPU' : 'GPUs'}`;
  const parts = [
    text(12, 22, title, 'title'),
    text(
      12,
      42,
      `frames: TP groups of ${tp}; columns: EP ranks, each with its experts; rows: pipeline stages`,
      'small',
    ),
  ];
  for (const replica of range(replicas)) {
    parts.push(text(12, yOf(replica, 0) - 9, `replica ${replica}`, 'label'));
    for (const stage of range(stages)) {
      const first = (replica * pp + stage) * ep;
      parts.push(stageLabel(at(ranks, first), yOf(replica, stage)));
      for (const e of range(drawn)) parts.push(rankCell(at(ranks, first + e), xOf(e), yOf(replica, stage)));
      for (let e = 0; e < drawn; e += tp) {
        const members = Math.min(tp, drawn - e);
        parts.push(frame(xOf(e), xOf(e + members - 1), yOf(replica, stage)));
      }
    }
  }
  if (left.length > 0) parts.push(text(12, height - 12, left.join('; '), 'small'));
  return sheet(`Map of the ranks of ${title}`, width, height, parts);
}

function stageLabel({ stage, layers }: RankShare, y: number): string {
  return (
    text(12, y + 15, `stage ${stage}`, 'small') + text(12, y + 28, `layers ${formatRun(layers)}`, 'small')
  );
}

function rankCell({ rank, stage, expertIds, heads, tp, replica }: RankShare, x: number, y: number): string {
  const held = expertIds.length === 0 ? '' : `e ${formatIds(expertIds)}`;
  const told = `rank ${rank}: replica ${replica}, stage ${stage}, TP index ${tp}, heads ${formatRun(heads)}, experts ${formatIds(expertIds)}`;
  return cell(x, y, stage, { rank, held, told });
}

import { at, maxOf, range } from '../core/math.ts';
import type { LayoutExplanation } from './explain.ts';
import { alignColumns, formatRun, TEXT_WIDTH, wrap } from './text.ts';

/** Stages to draw before the middle ones are left out, and ranks to list in a TP group before only its ends are. Guesses. */
const MAX_STAGES = 8;
const MAX_LISTED = 4;
const ELLIPSIS = '...';

/**
 * Replica 0 as a map: one line per stage, one bracket per TP group, the experts under the ranks that hold them.
 *
 *     stage  layers
 *         0     0-3  [ 0  1] [ 2  3] ... [14 15]
 *           experts    0  1    2  3  ...  14 15
 */
export function drawReplica(explanation: LayoutExplanation): string[] {
  const { spec, ranks, placement } = explanation;
  const { ep, pp, tp, dp } = spec;
  const stages = range(pp).map((stage) => ranks.slice(stage * ep, (stage + 1) * ep));
  const rankLabels = stages.map((shares) => shares.map((share) => String(share.rank)));
  const expertLabels = at(stages, 0).map((share) => formatRun(share.experts));

  const width = maxOf([...rankLabels.flat(), ...expertLabels].map((label) => label.length));
  const cells = (row: string[], open: string, close: string): string[] =>
    range(ep / tp).map((group) => {
      const members = row.slice(group * tp, (group + 1) * tp).map((label) => label.padStart(width));
      const listed = tp <= MAX_LISTED ? members : [at(members, 0), '..', at(members, tp - 1)];
      return open + listed.join(' ') + close;
    });

  const left = alignColumns([
    ['stage', 'layers'],
    ...stages.map((shares, stage) => [String(stage), formatRun(at(shares, 0).layers)]),
  ]);
  const header = at(left, 0);
  const lines = rankLabels.map((row, stage) => join(at(left, stage + 1), cells(row, '[', ']')));
  return [
    ...wrap(`Replica 0, ${rankRun(0, ep * pp)}${alike(dp)}; [ ] = a TP group of ${tp}`, '', '  '),
    header,
    ...elide(lines),
    join(
      (placement === undefined ? 'experts' : 'slots').padStart(header.length),
      cells(expertLabels, ' ', ' '),
    ).trimEnd(),
  ];
}

function rankRun(first: number, count: number): string {
  return `${count === 1 ? 'rank' : 'ranks'} ${formatRun({ first, count })}`;
}

function alike(numReplicas: number): string {
  if (numReplicas === 1) return '';
  if (numReplicas === 2) return ' (replica 1 is alike)';
  return ` (replicas 1-${numReplicas - 1} are alike)`;
}

/** The cells that fit, then the last one. Cells of all lines are equally wide, so all lines drop the same ones. */
function join(left: string, cells: readonly string[]): string {
  const cellWidth = at(cells, 0).length + 1;
  const room = TEXT_WIDTH - left.length - 1;
  if (cells.length * cellWidth <= room) return `${left}  ${cells.join(' ')}`;
  const kept = Math.max(1, Math.floor((room - ELLIPSIS.length - 1 - cellWidth) / cellWidth));
  return `${left}  ${[...cells.slice(0, kept), ELLIPSIS, at(cells, cells.length - 1)].join(' ')}`;
}

function elide(lines: readonly string[]): string[] {
  if (lines.length <= MAX_STAGES) return [...lines];
  const dots = ELLIPSIS.padStart('  stage'.length);
  return [...lines.slice(0, MAX_STAGES / 2), dots, at(lines, lines.length - 1)];
}

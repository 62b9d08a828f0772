/** Balancers beside each other, with the time that each takes. */
import { formatNs } from '../../../core/units.ts';
import type { PlacementRow } from '../../../laboratory/placements.ts';
import { PLAIN, type Style } from '../style.ts';
import { drawTable, paragraph } from '../table.ts';

interface Compared {
  readonly load: string;
  readonly source: 'weights' | 'counts';
  readonly experts: number;
  readonly ranks: number;
  readonly rows: readonly PlacementRow[];
}

export function renderBalancers(found: Compared, style: Style = PLAIN): string[] {
  const { load, source, experts, ranks, rows } = found;
  const right = 'right' as const;
  return [
    style.bold(`Balancers on ${load}`),
    ...paragraph(
      `${experts} experts on ${ranks} ranks; the load is ${source === 'weights' ? 'the law itself' : 'counted'}.`,
    ),
    '',
    ...drawTable(
      [
        { head: 'balancer' },
        { head: 'slots', align: right },
        { head: 'fullest rank over mean', align: right },
        { head: 'time', align: right },
        { head: '' },
      ],
      rows.map(({ balancer, slots, maxOverMean, proved, ns }) => [
        ...[balancer, String(slots), maxOverMean.toFixed(4), ns === undefined ? '-' : formatNs(ns)],
        proved === undefined ? '' : proved ? 'proved' : 'not proved',
      ]),
      style.width,
    ),
    ...paragraph('Loads are exact; times are measured, once, on one core of the host.'),
  ];
}

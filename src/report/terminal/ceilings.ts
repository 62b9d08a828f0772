/** What probes reached on this adapter, told to a person. */
import type { Ceiling, Ceilings } from '../../bench/ceilings/ceilings.ts';
import type { RooflineShare } from '../../bench/ceilings/roofline.ts';
import { formatBytes, formatSi, roundPercent } from '../../core/units.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

export function renderCeilings(ceilings: Ceilings, style: Style = PLAIN): string[] {
  const rows = ceilings.map((ceiling) => [
    ceiling.name,
    ceiling.footprintBytes === undefined ? '' : formatBytes(ceiling.footprintBytes),
    valueText(ceiling, style),
    noteText(ceiling),
  ]);
  const wrong = ceilings.flatMap((ceiling) =>
    ceiling.state === 'failed' ? paragraph(style.bad(`${ceiling.name}: ${ceiling.reason}`)) : [],
  );
  return [
    ...drawTable(
      [
        { head: 'what' },
        { head: 'working set', align: 'right' },
        { head: 'most', align: 'right' },
        { head: 'how', least: 16 },
      ],
      rows,
      style.width,
    ),
    ...wrong,
    ...paragraph(
      'The best sample of each, its result checked before. Copies count what is read and written.',
    ),
  ];
}

function valueText(ceiling: Ceiling, style: Style): string {
  switch (ceiling.state) {
    case 'measured':
      return formatSi(ceiling.value, ceiling.unit);
    case 'absent':
      return 'none';
    case 'failed':
      return style.bad('failed');
  }
}

function noteText(ceiling: Ceiling): string {
  switch (ceiling.state) {
    case 'measured':
      return ceiling.form ?? '';
    case 'absent':
      return ceiling.reason;
    case 'failed':
      return '';
  }
}

/** '12% c': the share of the roofline, and what binds. */
export function roofText(roof: RooflineShare | undefined): string {
  if (roof === undefined) return '';
  return `${roundPercent(roof.share, '%')} ${roof.binds === 'compute' ? 'c' : 'b'}`;
}

export const ROOF_LEGEND =
  'roof: share of the roofline, min(peak FLOP/s, intensity x bandwidth) of the ceilings above; ' +
  'c: compute binds, b: bandwidth of the working set binds.';

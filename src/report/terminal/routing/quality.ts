/** What overflow costs in quality, told to a person. */
import { formatPercent } from '../../../core/units.ts';
import type { CapacityRule } from '../../../routing/capacity.ts';
import { PLAIN, type Style } from '../style.ts';
import { drawTable, paragraph } from '../table.ts';

/** A policy and capacity with what they cost. Shares are of all rows of all layers. */
export interface QualityLine {
  readonly policy: string;
  readonly capacity?: CapacityRule;
  readonly capacityRows?: number;
  readonly droppedShare: number;
  readonly movedShare: number;
  readonly waitedShare: number;
  readonly massLostShare: number;
  readonly crossEntropy: number;
  readonly aboveDropless: number;
}

const right = 'right' as const;

export function renderQuality(rows: readonly QualityLine[], style: Style = PLAIN): string[] {
  return [
    ...drawTable(
      [
        { head: 'policy' },
        { head: 'capacity', align: right },
        { head: 'rows', align: right, drop: 1 },
        { head: 'dropped', align: right },
        { head: 'moved', align: right },
        { head: 'mass', align: right },
        { head: 'nats/char', align: right },
        { head: 'more', align: right },
        { head: 'source' },
      ],
      rows.map((row) => [
        row.policy,
        row.capacity === undefined ? '-' : ruleText(row.capacity),
        row.capacityRows === undefined ? '-' : String(row.capacityRows),
        formatPercent(row.droppedShare),
        formatPercent(row.movedShare + row.waitedShare),
        formatPercent(row.massLostShare),
        row.crossEntropy.toFixed(4),
        row.aboveDropless.toFixed(4),
        'float64',
      ]),
      style.width,
    ),
    ...paragraph(
      'rows: that a slot may take in a micro-batch. moved: rows that went elsewhere or waited. mass: router scores lost. more: than ' +
        'without a capacity. float64: computed by the reference on the host, no adapter has a part in it. spill: experts have replicas ' +
        'by EPLB, and a slot its share of the capacity.',
    ),
  ];
}

function ruleText({ convention, factor }: CapacityRule): string {
  return convention === 'megatron' ? String(factor) : `${convention} ${factor}`;
}

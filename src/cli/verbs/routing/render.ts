/** An experiment of `moebius routing` on a terminal. */
import { formatNs } from '../../../core/units.ts';
import { renderLoads, renderPlacements, renderPolicies } from '../../../report/terminal/routing/tables.ts';
import { drawTable, paragraph } from '../../../report/terminal/table.ts';
import { stdoutStyle } from '../../output.ts';
import type { RoutingReport } from './routing.ts';

export function renderRouting(report: RoutingReport): string[] {
  const style = stdoutStyle();
  const { trace, tokens, experts, topk, ranks, slots, capacity, balancer, microBatches, floor, balance } =
    report;
  const rule = `${capacity.convention} ${capacity.factor} per ${capacity.scope === 'rank' ? 'source rank' : 'batch'}`;
  const assumed = [
    trace.ids === 'assumed' ? 'which experts a token has (only counts were recorded)' : '',
    trace.scores === 'assumed'
      ? 'the scores (1, 1/2, 1/3 ... renormalised; next-best experts by popularity)'
      : '',
  ].filter((text) => text !== '');
  return [
    style.bold(`Routing of ${trace.name}`),
    ...paragraph(
      `${tokens} tokens in ${microBatches} micro-batches, top-${topk} of ${experts} experts in ${slots} slots on ${ranks} ranks; ` +
        `capacity ${rule}; balancer ${balancer}.` +
        (assumed.length > 0 ? ` Assumed: ${assumed.join('; ')}.` : ''),
    ),
    '',
    ...renderPlacements(report.placements, floor.ranks, style),
    '',
    ...biasLines(report),
    ...renderPolicies(report.policies, style),
    ...timeLines(report),
    '',
    ...renderLoads(report.policies, style),
    ...(balancer === 'none'
      ? []
      : [
          '',
          ...paragraph(
            `Fullest rank over mean: ${balance.before.toFixed(3)} before, ${balance.after.toFixed(3)} with ${balancer}.`,
          ),
        ]),
  ];
}

function biasLines({ bias }: RoutingReport): string[] {
  if (bias === undefined) return [];
  const { maxOverMean: found, firstBelow, steps, source, tokensPerStep, rate, floor } = bias;
  const shown = [...new Set([0, 9, 24, 49, 99, 149, steps - 1])]
    .filter((i) => i < found.length)
    .map((i) => `${i + 1}: ${found[i]?.toFixed(3)}`);
  const below = firstBelow === undefined ? 'never below 1.10' : `below 1.10 first in step ${firstBelow}`;
  const where =
    source === 'device'
      ? 'measured on the device, where nothing was read back until the last step'
      : 'in float64 on the host, since no adapter is used';
  return [
    ...paragraph(
      `The bias controller over ${steps} steps of ${tokensPerStep} tokens, rate ${rate ?? '0.02 falling to 0.001'}, ${where}. Fullest ` +
        `expert over mean: ${shown.join(', ')}; ${below}; noise floor of as many tokens ${floor.toFixed(3)}.`,
    ),
    '',
  ];
}

function timeLines(report: RoutingReport): string[] {
  const { timeBefore, timeAfter, adapter, clock, widths, tileRows, balancer } = report;
  if (adapter === undefined)
    return paragraph(`No time was measured; tiles of ${tileRows.value} rows are assumed.`);
  const told = paragraph(
    `Times: measured on ${adapter.name} (${clock?.note ?? ''}), the routed layer of width ${widths.width}, experts ${widths.expertWidth}, ` +
      `f32, under the rows of the last micro-batch; tiles of ${tileRows.value} rows. All ranks: their rows one after the other on this ` +
      `device. Fullest rank: its rows alone, what ranks with a device each would wait for.`,
  );
  if (timeBefore === undefined || timeAfter === undefined) return told;
  const of = (ns: number | undefined): string => (ns === undefined ? '-' : formatNs(ns));
  const row = (what: string, { rows, allRanksNs, fullestRankNs }: NonNullable<typeof timeBefore>) => [
    ...[what, String(rows.allRanks), of(allRanksNs), String(rows.fullestRank), of(fullestRankNs)],
  ];
  return [
    ...told,
    '',
    ...drawTable(
      [
        { head: 'the layer, dropless' },
        { head: 'rows', align: 'right' },
        { head: 'all ranks', align: 'right' },
        { head: 'rows', align: 'right' },
        { head: 'fullest rank', align: 'right' },
      ],
      [
        row('before', timeBefore),
        row(balancer === 'none' ? 'as it is placed' : `with ${balancer}`, timeAfter),
      ],
    ),
  ];
}

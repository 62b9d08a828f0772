/** The pictures of an experiment on one sheet. */
import { parseHTML } from 'linkedom';
import { at, range } from '../../../core/math.ts';
import { drawHeatMap } from '../../../plots/heat-map.ts';
import { drawLoadCurves, drawPolicies } from '../../../plots/routing.ts';
import { drawQuality, type QualityLine } from '../../../plots/quality.ts';
import { sheetOf } from '../../../plots/sheet.ts';
import type { QualityRow, RoutingQuality } from './quality.ts';
import type { RoutingReport } from './routing.ts';

const WIDTH = 720;

/** SVG: rank x expert of the first policy, sorted loads of all, and what each loses. */
export function drawRouting(report: RoutingReport): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const { policies, trace } = report;
  const first = at(policies, 0);
  const frame = (label: string) => ({ document, width: WIDTH, label });
  const drawings = [
    {
      title: `Rows by rank and expert, ${first.policy}`,
      svg: drawHeatMap(frame('rows by rank and expert'), {
        ...{ rows: 'rank', columns: 'expert', values: rowsOf(report) },
      }),
    },
    { title: 'Load of experts', svg: drawLoadCurves(frame('load of experts, sorted'), policies) },
    { title: 'What the policies lose', svg: drawPolicies(frame('rows dropped and mass lost'), policies) },
  ];
  return sheetOf(drawings, WIDTH, `Routing of ${trace.name}`);
}

/** SVG: cross-entropy and rows dropped over the capacity factor, a line for each policy, and convention where there are several. */
export function drawQualities({ rows, model }: RoutingQuality): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const frame = (label: string) => ({ document, width: WIDTH, label });
  const limited = rows.flatMap((row) => (row.capacity === undefined ? [] : [{ ...row, ...row.capacity }]));
  const several = new Set(limited.map(({ convention }) => convention)).size > 1;
  const nameOf = ({ policy, convention }: (typeof limited)[number]): string =>
    several ? `${policy}, ${convention}` : policy;
  const linesOf = (value: (row: QualityRow) => number): QualityLine[] =>
    [...new Set(limited.map(nameOf))].map((policy) => ({
      policy,
      points: limited
        .filter((row) => nameOf(row) === policy)
        .map((row) => ({ factor: row.factor, value: value(row) }))
        .sort((a, b) => a.factor - b.factor),
    }));
  const losses = linesOf((row) => row.crossEntropy);
  const dropless = rows.find(({ policy }) => policy === 'dropless')?.crossEntropy ?? 0;
  const drawings = [
    {
      title: 'Cross-entropy; dashed: without a capacity',
      svg: drawQuality(frame('cross-entropy over the capacity factor'), losses, {
        ...{ what: 'nats per character', level: dropless },
      }),
    },
    {
      title: 'Rows that were dropped',
      svg: drawQuality(
        frame('rows dropped over the capacity factor'),
        linesOf((row) => 100 * row.droppedShare),
        { what: '%' },
      ),
    },
  ];
  return sheetOf(drawings, WIDTH, `What overflow costs ${model}`);
}

/** An expert's rows over its replicas as its slots were dealt. */
function rowsOf({ placement, experts, policies }: RoutingReport): number[][] {
  const { countOfSlots } = at(policies, 0);
  let slot = 0;
  return placement.map((own) => {
    const row = range(experts).map(() => 0);
    for (const expert of own) row[expert] = at(row, expert) + at(countOfSlots, slot++);
    return row;
  });
}

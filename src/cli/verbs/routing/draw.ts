/** The pictures of an experiment on one sheet. */
import { parseHTML } from 'linkedom';
import { at, range } from '../../../core/math.ts';
import { drawHeatMap, drawLoadCurves, drawPolicies } from '../../../plots/routing.ts';
import { sheetOf } from '../../../plots/sheet.ts';
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
      svg: drawHeatMap(frame('rows by rank and expert'), rowsOf(report)),
    },
    { title: 'Load of experts', svg: drawLoadCurves(frame('load of experts, sorted'), policies) },
    { title: 'What the policies lose', svg: drawPolicies(frame('rows dropped and mass lost'), policies) },
  ];
  return sheetOf(drawings, WIDTH, `Routing of ${trace.name}`);
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

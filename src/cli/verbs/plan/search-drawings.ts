/** The drawing and the page of a search. */
import { parseHTML } from 'linkedom';
import type { SearchReport } from '../../../planner/search/search.ts';
import { drawLayouts } from '../../../plots/layouts.ts';
import { sheetOf } from '../../../plots/sheet.ts';
import { pointsOf, renderSearchPage } from '../../../report/html/search-page.tsx';

const WIDTH = 760;

const emptyDocument = (): Document => parseHTML('<!doctype html><html><body></body></html>').document;

/** SVG that needs no page. */
export function drawSearch(report: SearchReport): string {
  const { model, gpus, hardware } = report;
  const title = `Layouts of ${model} on ${gpus.join(', ')} ${hardware}`;
  const svg = drawLayouts(
    { document: emptyDocument(), width: WIDTH, label: title },
    pointsOf(report),
    report.targets.ttftMs,
  );
  return sheetOf([{ title, svg }], WIDTH, title);
}

/** HTML. */
export function pageOfSearch(report: SearchReport): Promise<string> {
  return renderSearchPage(report, emptyDocument());
}

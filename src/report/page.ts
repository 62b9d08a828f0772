/** The page of a result. Drawing takes a while to load, so it is loaded when it is asked for. */
import { requireFields, requireGiven } from '../core/given.ts';
import type { Report } from './html/page.tsx';

/**
 * One page of HTML about a result: no script, nothing from elsewhere, its data inside, for a browser without a network.
 * @param document to draw in: a page's own, or one of a library such as linkedom.
 * @throws ConfigError for what is no result.
 */
export async function renderReport(report: Report, document: Document): Promise<string> {
  requireFields('The report', report, { result: 'record', label: 'string', comparison: 'record?' });
  requireFields('The result', report.result, { kernels: 'list', adapter: 'record', verdict: 'record' });
  requireGiven('The document', document, 'record');
  const page = await import('./html/page.tsx');
  return page.renderReport(report, document);
}

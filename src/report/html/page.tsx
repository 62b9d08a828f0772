/** @jsxRuntime automatic @jsxImportSource preact */
/** A result as one page: no script, nothing from elsewhere, its data inside. */
import type { Comparison } from '../../compare/compare.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { Checks, Method } from './checks.tsx';
import { Experts, Memory, Pipeline } from './cluster.tsx';
import { Compared } from './comparison.tsx';
import { LookHere, ThisRun, Verdict } from './first-screen.tsx';
import { Pass, Stages } from './forward.tsx';
import { Growth } from './growth.tsx';
import { Kernels } from './kernels.tsx';
import { Roofline } from './roofline.tsx';
import { escaped, renderShell } from './shell.tsx';

/** What a page tells: a result, and what it was compared with. */
export interface Report {
  readonly result: StoredBenchResult;
  /** The name of its file. */
  readonly label: string;
  readonly comparison?: {
    readonly found: Comparison;
    readonly labels: { readonly a: readonly string[]; readonly b: readonly string[] };
  };
}

/** HTML of the whole page. @param document to draw in: a page's own, or one of Node. */
export async function renderReport(report: Report, document: Document): Promise<string> {
  const { result, label, comparison } = escaped(report);
  const sections: readonly (readonly [id: string, title: string, shown: boolean])[] = [
    ['look', 'Look here first', true],
    ['run', 'This run', true],
    ['comparison', 'Before and after', comparison !== undefined],
    ['stages', 'Stages', (result.forward?.sharded?.profiles.length ?? 0) > 0],
    ['pass', 'Pass', result.forward !== null],
    ['pipeline', 'Pipeline', result.forward !== null],
    ['experts', 'Experts', result.forward !== null],
    ['memory', 'Memory', result.forward !== null],
    ['roofline', 'Roofline', true],
    ['kernels', 'Kernels', true],
    ['growth', 'Growth', true],
    ['checks', 'Checks', true],
    ['method', 'Method', true],
  ];
  return renderShell({
    title: `Moebius: ${result.verdict.outcome}, ${result.adapter.facts.name}, ${result.date}`,
    heading: `Moebius: ${result.model} on ${result.layout}, ${result.adapter.facts.name}`,
    sections: sections.flatMap(([id, title, shown]) => (shown ? [[id, title] as const] : [])),
    main: (
      <>
        <Verdict result={result} />
        <LookHere result={result} />
        <ThisRun result={result} label={label} />
        {comparison && <Compared {...comparison} document={document} />}
        <Stages result={result} document={document} />
        {result.forward && (
          <>
            <Pass forward={result.forward} source={result.sources.forward} />
            <Pipeline result={result} document={document} />
            <Experts result={result} document={document} />
            <Memory result={result} document={document} />
          </>
        )}
        <Roofline result={result} document={document} />
        <Kernels result={result} />
        <Growth result={result} document={document} />
        <Checks result={result} />
        <Method result={result} />
      </>
    ),
    footer:
      'Written by moebius report. The result itself, all samples included, is inside this page, in the element with ' +
      'the id moebius-result, as JSON; only the windows that each sample is the median of are not.',
    data: { id: 'moebius-result', value: report.result },
  });
}

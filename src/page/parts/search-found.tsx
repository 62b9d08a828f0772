/** What a search has found, with the drawing and the tables of its report. Loaded when there is something to show. */
import { drawLayouts } from '../../plots/layouts.ts';
import type { SearchReport } from '../../planner/search/search.ts';
import { Section } from '../../report/html/parts.tsx';
import { Front, Given, Method, pointsOf, tagOf } from '../../report/html/search-page.tsx';
import { verdictOf } from '../../report/search.ts';
import { Plot } from './basics.tsx';

export function SearchFound({ report }: { readonly report: SearchReport }) {
  const { found, targets, givenRefused } = report;
  return (
    <>
      <p class="verdict">{verdictOf(report)}</p>
      {givenRefused !== null && <p>{givenRefused}</p>}
      {found.length > 0 && (
        <Section id="layouts" title="Layouts" source={tagOf(report)}>
          <figure>
            <Plot
              of={report}
              label={`${found.length} layouts by TTFT and output tokens a second per GPU; the table has those that nothing beats.`}
              draw={(frame) => drawLayouts(frame, pointsOf(report), targets.ttftMs)}
            />
            <figcaption>
              Filled circles: nothing is better in TTFT, throughput, memory and GPUs at once; the first six by
              number, as in the table. Crosses miss a target, the star is the given layout, a dashed line the
              limit of TTFT.
            </figcaption>
          </figure>
        </Section>
      )}
      <Front report={report} />
      <Given report={report} />
      <Method report={report} />
    </>
  );
}

/** @jsxRuntime automatic @jsxImportSource preact */
/** A search as one page: the verdict, the layouts that nothing beats, and where the given one stands. */
import { formatNumber, roundPercent } from '../../core/units.ts';
import { drawLayouts, type LayoutPoint } from '../../plots/layouts.ts';
import { gpuUsPerToken } from '../../planner/search/front.ts';
import { workloadText, type Found, type SearchReport } from '../../planner/search/search.ts';
import { SHARE_NAMES } from '../../planner/simulate/simulate.ts';
import { formatMs, rateOf, shortName, sourcesOf, targetsText, verdictOf, whyText } from '../search.ts';
import { Drawing, Section, Table } from './parts.tsx';
import { escaped, renderShell } from './shell.tsx';

interface Props {
  readonly report: SearchReport;
}

/** What `drawLayouts` draws of a search. */
export function pointsOf({ found, given }: SearchReport): LayoutPoint[] {
  return found.map((one) => ({
    name: shortName(one),
    ttftMs: one.ttftMs,
    rate: rateOf(one),
    front: one.front,
    meets: one.meets,
    given: given !== null && one.layout === given.layout.layout && one.reading === given.layout.reading,
  }));
}

/** HTML of the whole page. @param document to draw in: a page's own, or one of Node. */
export async function renderSearchPage(given: SearchReport, document: Document): Promise<string> {
  const report = escaped(given);
  const what = `${report.model} on ${report.gpus.join(', ')} ${report.hardware}`;
  return renderShell({
    title: `Moebius search: ${what}`,
    heading: `Moebius search: ${what}, ${report.precision}`,
    sections: [
      ['layouts', 'Layouts'],
      ['front', 'Not beaten'],
      ...(report.given === null ? [] : ([['given', 'The given one']] as const)),
      ['method', 'Method'],
    ],
    main: (
      <>
        <p class="verdict">{verdictOf(report)}</p>
        <Section id="layouts" title="Layouts" source={tagOf(report)}>
          <Drawing
            document={document}
            label={`${report.found.length} layouts by TTFT and output tokens a second per GPU; the table below has those that nothing beats.`}
            caption="Filled circles: nothing is better in TTFT, throughput, memory and GPUs at once; the first six by number, as in the table. Crosses miss a target, the star is the given layout, a dashed line the limit of TTFT."
            draw={(frame) => drawLayouts(frame, pointsOf(report), report.targets.ttftMs)}
          />
        </Section>
        <Front report={report} />
        <Given report={report} />
        <Method report={report} />
      </>
    ),
    footer:
      'Written by moebius search. All layouts are inside this page, in the element with the id moebius-search, as JSON.',
    data: { id: 'moebius-search', value: given },
  });
}

export const tagOf = ({ front }: SearchReport): 'modelled' | 'assumed' =>
  front.every(({ cells }) => cells.out_tok_s_gpu.tag === 'modelled') ? 'modelled' : 'assumed';

export function Front({ report }: Props) {
  const { front } = report;
  const interval = ({ low, high }: { low: number; high: number }): string =>
    `${formatNumber(low)} to ${formatNumber(high)}`;
  return (
    <Section id="front" title="Not beaten" source={tagOf(report)}>
      <p>{sourcesOf(front)} Intervals hold 80 %.</p>
      <Table
        label="Layouts that no other beats in TTFT, throughput, memory and GPUs at once"
        columns={[
          { head: 'layout' },
          { head: 'GPUs', number: true, spare: true },
          { head: 'TTFT ms', number: true },
          { head: 'interval', number: true, spare: true },
          { head: 'TPOT ms', number: true },
          { head: 'interval', number: true, spare: true },
          { head: 'tokens/s/GPU', number: true },
          { head: 'interval', number: true, spare: true },
          { head: 'GB', number: true },
          { head: 'targets', spare: true },
        ]}
        rows={front.map((one, i) => ({
          cells: [
            `${i + 1}. ${shortName(one)}`,
            one.gpus,
            formatNumber(one.ttftMs),
            interval(one.cells.ttft_ms),
            formatNumber(one.tpotMs),
            interval(one.cells.tpot_ms),
            formatNumber(rateOf(one)),
            interval(one.cells.out_tok_s_gpu),
            (one.memoryBytes / 1e9).toFixed(1),
            one.meets ? 'met' : 'missed',
          ],
        }))}
      />
    </Section>
  );
}

export function Given({ report: { given } }: Props) {
  if (given === null) return null;
  const { layout: own, rank, of, beaten, better } = given;
  const all: readonly Found[] = [own, ...better.map(({ layout }) => layout)];
  const parts = all.map((one) => gpuUsPerToken(one));
  const shares = Object.entries(SHARE_NAMES) as [keyof typeof SHARE_NAMES, string][];
  return (
    <Section id="given" title={`Where ${shortName(own)} stands`}>
      <p>
        Number {rank} of {of} by throughput; {beaten} are no worse in TTFT and throughput and better in one.
      </p>
      {better.map(({ layout, as, why }) => (
        <p>
          {as}: {shortName(layout)}, {formatNumber(rateOf(layout))} tokens/s a GPU, TTFT{' '}
          {formatMs(layout.ttftMs)}. {whyText(why)}
        </p>
      ))}
      <Table
        label="GPU time of an output token, us"
        columns={[
          { head: 'us of GPU time a token' },
          ...all.map((one) => ({ head: shortName(one), number: true })),
        ]}
        rows={shares.map(([share, name]) => ({
          cells: [name, ...parts.map((part) => formatNumber(part[share]))],
        }))}
      />
    </Section>
  );
}

export function Method({ report }: Props) {
  const { layouts, outOfMemory, simulated, workload, interrupted, found } = report;
  const idle = found.filter(({ shares }) => shares.idle > 0.5).length;
  return (
    <Section id="method" title="Method">
      <p>
        {layouts} layouts are all tuples under all readings that fit, each set of jobs once; {outOfMemory} do
        not fit the memory of a rank. {simulated} were simulated {workloadText(workload)},{' '}
        {workload.concurrency === null ? 'all replicas' : 'one of their equal replicas'} each.
        {interrupted ? ' The search was interrupted.' : ''}
        {idle > 0 && ` In ${idle} more than half of the GPU time (${roundPercent(0.5)}) has no request.`}{' '}
        {targetsText(report.targets)}
      </p>
    </Section>
  );
}

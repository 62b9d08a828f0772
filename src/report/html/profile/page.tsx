/** @jsxRuntime automatic @jsxImportSource preact */
/** A profile as one page: where to look first, the account, stages, pipeline, ranks. */
import { maxOf, sum } from '../../../core/math.ts';
import { formatNs, formatNumber, formatSi, roundPercent } from '../../../core/units.ts';
import { drawPipeline, type PipelineSlot } from '../../../plots/pipeline.ts';
import { drawStages, phasesOf } from '../../../plots/stages.ts';
import { HUES } from '../../../plots/hues.ts';
import type { RatedRow } from '../../../profile/rates.ts';
import {
  firstLook,
  profiledText,
  type ProfiledFacts,
  type ProfileFacts,
} from '../../terminal/profile/profile.ts';
import { Badge, Bar, Drawing, Section, Table } from '../parts.tsx';
import { escaped, renderShell } from '../shell.tsx';
import { linksText, Ranks } from './ranks.tsx';

export type ProfilePage = ProfileFacts & ProfiledFacts & { readonly pipeline: readonly PipelineSlot[] };

interface Props {
  readonly profile: ProfilePage;
  readonly document: Document;
}

/** HTML of the whole page. @param document to draw in: a page's own, or one of Node. */
export async function renderProfilePage(given: ProfilePage, document: Document): Promise<string> {
  const profile = escaped(given);
  const timed = profile.ranks.length > 0;
  const what = profiledText(profile);
  return renderShell({
    title: `Moebius profile: ${what}`,
    heading: `Moebius profile: ${what}, ${profile.adapter.name}`,
    sections: [
      ['look', 'Look here first'],
      ['account', 'Account'],
      ...(timed
        ? ([
            ['stages', 'Stages'],
            ['pipeline', 'Pipeline'],
            ['ranks', 'Ranks'],
          ] as const)
        : []),
      ['method', 'Method'],
    ],
    main: (
      <>
        <Verdict profile={profile} />
        <Look profile={profile} />
        <Account profile={profile} />
        {timed && (
          <>
            <Stages profile={profile} document={document} />
            <Pipeline profile={profile} document={document} />
            <Ranks facts={profile} />
          </>
        )}
        <Method profile={profile} />
      </>
    ),
    footer:
      'Written by moebius profile. The profile itself is inside this page, in the element with the id ' +
      'moebius-profile, as JSON.',
    data: { id: 'moebius-profile', value: given },
  });
}

function Verdict({ profile }: Pick<Props, 'profile'>) {
  const { rows, wallNs, parts, ranks, clusterNs } = profile;
  const busyNs = sum(rows.filter(({ group }) => group === 'gpu busy').map(({ ns }) => ns));
  const [slowest] = ranks;
  const tiles = [
    { what: 'one run', value: formatNs(wallNs), beside: partsText(parts), source: 'measured' },
    { what: 'GPU busy', value: roundPercent(busyNs / wallNs), beside: formatNs(busyNs), source: 'measured' },
    ...(slowest === undefined
      ? []
      : [
          {
            what: `on a cluster, ${linksText(profile.links)}`,
            value: formatNs(clusterNs),
            beside: `slowest: rank ${slowest.globalRank}, ${roundPercent(slowest.bubbleNs / clusterNs)} in bubbles`,
            source: 'modelled',
          } as const,
        ]),
  ] as const;
  return (
    <>
      <p class="verdict">
        {profiledText(profile)}: {formatNs(wallNs)}. {firstLook(profile)}
      </p>
      <ul class="tiles">
        {tiles.map(({ what, value, beside, source }) => (
          <li>
            <div class="what">{what}</div>
            <div class="value">{value}</div>
            <div class="beside">{beside}</div>
            <Badge source={source} />
          </li>
        ))}
      </ul>
    </>
  );
}

function partsText(parts: ProfilePage['parts']): string {
  if (parts.length === 0) return 'host clock, with instruments';
  return parts.map(({ part, wallNs, steps }) => `${part} ${formatNs(wallNs)} (${steps})`).join(', ');
}

/** How many rows are worth a first look. */
const FIRST = 8;

function Look({ profile: { rows } }: Pick<Props, 'profile'>) {
  const first = rows.filter(({ recoverableNs }) => recoverableNs !== undefined).slice(0, FIRST);
  const most = maxOf(
    first.map(({ recoverableNs = 0 }) => recoverableNs),
    0,
  );
  return (
    <Section id="look" title="Look here first" source="measured">
      <p class="soft">
        To win is time × (1 − share of the measured roof), all of it where the GPU does nothing. Rows of the
        GPU have none where no roof was measured.
      </p>
      <Table
        label="Rows by what can be won"
        columns={[
          { head: 'row' },
          { head: 'time', number: true },
          { head: 'of roof', number: true },
          { head: 'to win', number: true },
          { head: 'beside the first', spare: true },
        ]}
        rows={first.map(({ name, ns, roofShare, recoverableNs = 0 }) => ({
          cells: [
            name,
            formatNs(ns),
            roofShare === undefined ? '' : roundPercent(roofShare),
            formatNs(recoverableNs),
            <Bar share={most === 0 ? 0 : recoverableNs / most} />,
          ],
        }))}
      />
    </Section>
  );
}

function Account({ profile: { rows, wallNs } }: Pick<Props, 'profile'>) {
  const perSecond = (rate: number | undefined, unit: string): string =>
    rate === undefined || rate === 0 ? '' : formatSi(rate, unit);
  const cells = (row: RatedRow) => [
    row.name,
    formatNs(row.ns),
    roundPercent(row.share),
    row.calls === 0 ? '' : row.calls,
    perSecond(row.flopsPerSecond, 'FLOP/s'),
    perSecond(row.bytesPerSecond, 'B/s'),
    row.hiddenNs === 0 ? '' : formatNs(row.hiddenNs),
    row.hostSyncs === 0 ? '' : row.hostSyncs,
    row.source,
  ];
  return (
    <Section id="account" title="Account" source="measured">
      <p class="soft">
        Every moment of the run is in one row, so they add up to it. Hidden is host work behind a busy GPU: it
        costs nothing and is in no row’s time. FLOP and bytes are modelled.
      </p>
      <Table
        label="Where the time of the run went"
        columns={[
          { head: 'row' },
          ...['time', 'share'].map((head) => ({ head, number: true })),
          ...['calls', 'FLOP/s', 'bytes/s', 'hidden', 'host syncs'].map((head) => ({
            ...{ head, number: true, spare: true },
          })),
          { head: 'source', spare: true },
        ]}
        rows={[
          ...[...rows].sort((a, b) => b.ns - a.ns).map((row) => ({ cells: cells(row) })),
          { cells: ['all', formatNs(wallNs), '100 %', '', '', '', '', '', 'measured'] },
        ]}
      />
    </Section>
  );
}

function Stages({ profile: { rows }, document }: Props) {
  const parts = rows.flatMap(({ stage, operation, ns }) =>
    stage === undefined || operation === undefined
      ? []
      : [{ stage: `stage ${stage}`, phase: operation, ns, order: stage }],
  );
  parts.sort((a, b) => a.order - b.order);
  const phases = phasesOf(parts);
  const total = sum(parts.map(({ ns }) => ns));
  return (
    <Section id="stages" title="GPU time by stage" source="measured">
      <Drawing
        document={document}
        label="GPU time of every stage by operation; the table below has the numbers."
        caption="All ranks of a stage added up, since one adapter plays them in turn."
        draw={(frame) => drawStages(frame, parts)}
      />
      <Table
        label="Operations"
        columns={[{ head: 'operation' }, { head: 'time', number: true }, { head: 'share', number: true }]}
        rows={phases.map((phase, i) => {
          const ns = sum(parts.filter((part) => part.phase === phase).map((part) => part.ns));
          return {
            cells: [
              <span class="key">
                <span>
                  <b class={`hue-${(i % HUES) + 1}`}>{i + 1}</b> {phase}
                </span>
              </span>,
              formatNs(ns),
              total === 0 ? '' : roundPercent(ns / total),
            ],
          };
        })}
      />
    </Section>
  );
}

function Pipeline({ profile, document }: Props) {
  const { pipeline, clusterNs, links } = profile;
  if (pipeline.length === 0 || !(clusterNs > 0)) return null;
  const whose = links === undefined ? 'links that cost nothing' : `${linksText(profile.links)}, modelled`;
  return (
    <Section id="pipeline" title="Pipeline" source="modelled">
      <Drawing
        document={document}
        label={`Micro-batches of every stage over ${formatNs(clusterNs)}; the table of ranks below has the sums.`}
        caption={`With every rank on a device of its own and ${whose}. Bars are micro-batches by number, as the slowest ranks let them; dashed lines are bubbles. Passes are measured; one that served several ranks is split by their rows.`}
        draw={(frame) => drawPipeline(frame, pipeline, clusterNs)}
      />
    </Section>
  );
}

function Method({ profile }: Pick<Props, 'profile'>) {
  const { compileNs, firstUseNs, cost, detail, offset, voidPasses, tuning } = profile;
  return (
    <Section id="method" title="Method">
      <p>
        Apart from the run: compiling {formatNs(compileNs)}, which counts once what overlaps, and first use{' '}
        {formatNs(firstUseNs)}. Instrumenting ({detail}) makes a run {formatNumber(cost.median)} times as long
        ({formatNumber(cost.low)} to {formatNumber(cost.high)})
        {cost.resolved ? '' : ', which these rounds cannot resolve'}; bare and instrumented rounds took turns
        in shuffled order.
      </p>
      <p>
        {offset === undefined
          ? 'The adapter has no timestamps: the time of the GPU is in the row of the read-back.'
          : `Host and GPU lie on one axis within ${formatNs(offset.errorNs)}: no pass begins before its list was sent, and none ends after its result was read.`}{' '}
        {voidPasses > 0 && `${voidPasses} passes have no time, since the clock went backwards in them. `}
        Times of ranks are measured where a pass was theirs alone, split by rows where it served several, and
        assumed to be equal parts where nobody knows the rows. {tuning.note}
      </p>
    </Section>
  );
}

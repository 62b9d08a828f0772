/** @jsxRuntime automatic @jsxImportSource preact */
/** What a cluster of the layout would see: its pipeline, where rows go, what each rank holds. */
import { at, maxOf, range, sum } from '../../core/math.ts';
import { formatBytes, formatNs, roundPercent } from '../../core/units.ts';
import { plural } from '../../layout/text.ts';
import { drawHeatMap, imbalance } from '../../plots/heat-map.ts';
import { drawMemory } from '../../plots/memory.ts';
import { drawPipeline } from '../../plots/pipeline.ts';
import type { StoredBenchResult } from '../file/schema.ts';
import { Drawing, Section, Table } from './parts.tsx';

type Timing = NonNullable<NonNullable<StoredBenchResult['forward']>['sharded']>;
type Cluster = NonNullable<Timing['cluster']>;

interface Props {
  readonly result: StoredBenchResult;
  readonly document: Document;
}

const clusterOf = (result: StoredBenchResult): Cluster | undefined => result.forward?.sharded?.cluster;
const UNKNOWN = 'The file does not have it: no pass was timed, or moebius before 0.5.0 wrote it.';

export function Pipeline({ result, document }: Props) {
  const pipeline = clusterOf(result)?.pipeline;
  const { slots = [], ranks = [], wallNs = 0 } = pipeline ?? {};
  const stages = [...new Set(ranks.map(({ stage }) => stage))];
  const batches = new Set(slots.map(({ microBatch }) => microBatch)).size;
  const bubbles = sum(ranks.map(({ bubbleNs }) => bubbleNs)) / Math.max(1, ranks.length * wallNs);
  return (
    <Section id="pipeline" title="Pipeline" source="modelled">
      {pipeline === undefined || slots.length === 0 || wallNs === 0 ? (
        <p>{clusterOf(result) === undefined ? UNKNOWN : 'The adapter has no timestamps, which it needs.'}</p>
      ) : (
        <>
          <p>
            With every rank on a device of its own and links that cost nothing,{' '}
            {batches === 1 ? '1 micro-batch goes' : `${batches} micro-batches go`} through{' '}
            {plural(stages.length, 'stage')} in {formatNs(wallNs)}; ranks stand in bubbles for{' '}
            {roundPercent(bubbles)} of it. Passes are measured; one that served several ranks is split among
            them.
          </p>
          <Drawing
            document={document}
            label={`Micro-batches (${batches}) in ${plural(stages.length, 'stage')} over ${formatNs(wallNs)}; the table below has the sums.`}
            caption="Bars are micro-batches by number, as the slowest ranks let them; dashed lines are bubbles."
            draw={(frame) => drawPipeline(frame, slots, wallNs)}
          />
          <Table
            label="The slowest rank of every stage"
            columns={[
              { head: 'stage' },
              { head: 'slowest rank', number: true },
              { head: 'compute', number: true },
              { head: 'communication', number: true },
              { head: 'bubble', number: true },
              { head: 'idle', number: true },
              { head: 'its passes are', spare: true },
            ]}
            rows={stages.map((stage) => {
              const busy = (r: (typeof ranks)[number]): number => r.computeNs + r.communicationNs;
              const slowest = ranks
                .filter((rank) => rank.stage === stage)
                .reduce((a, b) => (busy(b) > busy(a) ? b : a));
              const { rank, computeNs, communicationNs, bubbleNs, idleNs, source } = slowest;
              const times = [computeNs, communicationNs, bubbleNs, idleNs].map(formatNs);
              return { cells: [`stage ${stage}`, rank, ...times, SOURCES[source]] };
            })}
          />
        </>
      )}
    </Section>
  );
}

const SOURCES = {
  measured: 'its own, measured',
  split: 'split by rows',
  assumed: 'split into equal parts, assumed',
} as const;

export function Experts({ result, document }: Props) {
  const layers = clusterOf(result)?.expertLoad ?? [];
  const first = layers[0] ?? [];
  const total = first.map((row, rank) =>
    row.map((_, expert) => sum(layers.map((byRank) => at(at(byRank, rank), expert)))),
  );
  return (
    <Section id="experts" title="Expert load" source="measured">
      {total.length === 0 ? (
        <p>{UNKNOWN}</p>
      ) : (
        <>
          <p>
            Rows that every rank of a stage sends to every expert in one pass, all layers together; each of
            the {layers.length} layers by itself is in the table.
          </p>
          <Drawing
            document={document}
            label={`Rows from ${total.length} ranks to ${total[0]?.length ?? 0} experts, at most ${maxOf(total.flat(), 0)}; the table below has the sums by layer.`}
            caption={`The stronger the colour, the more rows: none to ${maxOf(total.flat(), 0)}. A strong column is an expert that many choose, a strong row a rank with more tokens.`}
            draw={(frame) => drawHeatMap(frame, { rows: 'rank', columns: 'expert', values: total })}
          />
          <Table
            label="Load of experts by layer"
            columns={[
              { head: 'layer' },
              { head: 'rows', number: true },
              { head: 'busiest expert', number: true },
              { head: 'its rows', number: true },
              { head: 'most / mean', number: true },
              { head: 'without rows', number: true, spare: true },
            ]}
            rows={layers.map((byRank, layer) => {
              const load = range(byRank[0]?.length ?? 0).map((expert) =>
                sum(byRank.map((row) => at(row, expert))),
              );
              const most = maxOf(load, 0);
              const idle = load.filter((rows) => rows === 0).length;
              return {
                cells: [layer, sum(load), load.indexOf(most), most, imbalance(load).toFixed(2), idle],
              };
            })}
          />
        </>
      )}
    </Section>
  );
}

const PURPOSES = [
  ['weights', 'weightsBytes'],
  ['KV cache', 'kvCacheBytes'],
  ['workspace', 'workspaceBytes'],
  ['tables', 'tablesBytes'],
] as const;

export function Memory({ result, document }: Props) {
  const ranks = clusterOf(result)?.ranks ?? [];
  const bytesOf = (rank: Cluster['ranks'][number]): number[] => PURPOSES.map(([, field]) => rank[field]);
  const stages = [...new Set(ranks.map(({ stage }) => stage))];
  return (
    <Section id="memory" title="Memory of a rank" source="modelled">
      {ranks.length === 0 ? (
        <p>{UNKNOWN}</p>
      ) : (
        <>
          <p>
            What each of {ranks.length} ranks would hold on a device of its own, by the lists that allocate
            here.
          </p>
          <Drawing
            document={document}
            label={`Memory of ${ranks.length} ranks by purpose; the table below has the fullest of every stage.`}
            caption={`Ranks stage by stage; from below: ${PURPOSES.map(([name], i) => `${i + 1} ${name}`).join(', ')}.`}
            draw={(frame) => drawMemory(frame, ranks.map(bytesOf))}
          />
          <Table
            label="The fullest rank of every stage"
            columns={[
              { head: 'stage' },
              { head: 'fullest rank', number: true },
              ...PURPOSES.map(([name], i) => ({
                head: <Key number={i + 1} name={name} />,
                number: true,
                spare: i > 0,
              })),
              { head: 'all', number: true },
            ]}
            rows={stages.map((stage) => {
              const fullest = ranks
                .filter((rank) => rank.stage === stage)
                .reduce((a, b) => (sum(bytesOf(b)) > sum(bytesOf(a)) ? b : a));
              const bytes = bytesOf(fullest);
              return {
                cells: [`stage ${stage}`, fullest.rank, ...[...bytes, sum(bytes)].map(formatBytes)],
              };
            })}
          />
        </>
      )}
    </Section>
  );
}

const Key = ({ number, name }: { readonly number: number; readonly name: string }) => (
  <span class="key">
    <span>
      <b class={`hue-${number}`}>{number}</b> {name}
    </span>
  </span>
);

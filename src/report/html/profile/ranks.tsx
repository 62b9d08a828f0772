/** @jsxRuntime automatic @jsxImportSource preact */
/** Ranks of the virtual cluster, and the links between them. */
import { formatBytes, formatNs, NS_PER_US, roundPercent } from '../../../core/units.ts';
import type { RankFacts } from '../../terminal/profile/ranks.ts';
import { Section, Table } from '../parts.tsx';

type Linked = NonNullable<RankFacts['links']>;

/** 'links of h100_sxm' */
export function linksText(links: Linked | undefined): string {
  return links === undefined ? 'links free' : `links of ${links.hardware}`;
}

export function Ranks({ facts: { ranks, clusterNs, links } }: { readonly facts: RankFacts }) {
  const cell = (ns: number): string => `${formatNs(ns)}, ${roundPercent(clusterNs > 0 ? ns / clusterNs : 0)}`;
  return (
    <Section id="ranks" title="Ranks">
      <Table
        label="Time by rank, the slowest first"
        columns={[
          { head: 'rank' },
          { head: 'stage', number: true },
          ...['compute', 'exposed communication', ...(links ? ['links'] : []), 'bubble', 'idle'].map(
            (head) => ({
              ...{ head, number: true },
            }),
          ),
          { head: 'source', spare: true },
        ]}
        rows={ranks.map((own) => ({
          cells: [
            `rank ${own.globalRank}`,
            own.stage,
            ...[own.computeNs, own.communicationNs, own.linkNs, own.bubbleNs, own.idleNs].flatMap((ns) =>
              ns === undefined ? [] : [cell(ns)],
            ),
            own.source,
          ],
        }))}
      />
      {links && <Links links={links} />}
    </Section>
  );
}

function Links({ links }: { readonly links: Linked }) {
  const us = (value: number): string => formatNs(NS_PER_US * value);
  return (
    <>
      <h3>Exchanges over links of {links.hardware}</h3>
      <p class="soft">
        Of each kind the largest: bytes are the whole buffer of a rank in f32, as here, and the interval holds
        80 %. Modelled: curves of measurements cover it; assumed: figures alone ({links.source}). Nodes are
        filled in the order of ranks.
      </p>
      <Table
        label="Exchanges over modelled links"
        columns={[
          { head: 'exchange' },
          ...['ranks', 'nodes', 'bytes', 'time'].map((head) => ({ head, number: true })),
          { head: 'interval', number: true, spare: true },
          { head: 'source' },
        ]}
        rows={links.exchanges.map((one) => ({
          cells: [
            ...[one.operation, one.ranks, one.nodes, formatBytes(one.bytes), us(one.us)],
            ...[`${us(one.low)} to ${us(one.high)}`, one.tag],
          ],
        }))}
      />
    </>
  );
}

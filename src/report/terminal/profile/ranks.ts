/** Ranks of the virtual cluster, and the links between them, told to a person. */
import { formatBytes, formatNs, NS_PER_US, shortPercent } from '../../../core/units.ts';
import type { LinkedExchange } from '../../../profile/links.ts';
import type { RankTime } from '../../../runtime/step/virtual-cluster.ts';
import type { Style } from '../style.ts';
import { drawTable, paragraph, type Column } from '../table.ts';

/** What is told of the ranks of a run. */
export interface RankFacts {
  readonly ranks: readonly (RankTime & { readonly globalRank: number })[];
  readonly clusterNs: number;
  /** Whose links are modelled; free when absent. */
  readonly links?: {
    readonly hardware: string;
    readonly source: string;
    readonly exchanges: readonly LinkedExchange[];
  };
}

const right = 'right' as const;

/** 'rank 17, compute 40%, exposed communication 8%, links 2.1% (modelled, h100_sxm), bubble 43%, idle 9%' */
export function rankText({ ranks: [own], clusterNs, links }: RankFacts): string {
  if (own === undefined) return '';
  const share = (ns: number): string => shareOf(ns, clusterNs);
  const linkText =
    links === undefined ? '' : `links ${share(own.linkNs ?? 0)} (modelled, ${links.hardware}), `;
  return (
    `rank ${own.globalRank}, compute ${share(own.computeNs)}, exposed communication ` +
    `${share(own.communicationNs)}, ${linkText}bubble ${share(own.bubbleNs)}, idle ${share(own.idleNs)}`
  );
}

function shareOf(ns: number, wholeNs: number): string {
  return shortPercent(wholeNs > 0 ? ns / wholeNs : 0);
}

export function renderRanks(facts: RankFacts, style: Style): string[] {
  const { ranks, clusterNs, links } = facts;
  if (ranks.length === 0) return [];
  const whose = links === undefined ? 'links free' : `links of ${links.hardware}`;
  const number = (head: string): Column => ({ head, align: right });
  const time = (ns: number): string => `${formatNs(ns)} ${shareOf(ns, clusterNs)}`;
  return [
    style.bold(`By rank, the slowest first (each on a device of its own, ${whose})`),
    ...drawTable(
      [
        number('rank'),
        { ...number('stage'), drop: 1 },
        ...['compute', 'exposed comm.'].map(number),
        ...(links === undefined ? [] : [number('links')]),
        ...['bubble', 'idle', 'source'].map(number),
      ],
      ranks.map((r) => [
        String(r.globalRank),
        String(r.stage),
        ...[r.computeNs, r.communicationNs].map(time),
        ...(links === undefined ? [] : [formatNs(r.linkNs ?? 0)]),
        time(r.bubbleNs),
        // One more column leaves no room for the share of the rest.
        links === undefined ? time(r.idleNs) : formatNs(r.idleNs),
        r.source,
      ]),
      style.width,
    ),
    '',
    ...(links === undefined ? [] : renderLinks(links, style)),
  ];
}

function renderLinks({ hardware, source, exchanges }: NonNullable<RankFacts['links']>, style: Style) {
  const us = (value: number): string => formatNs(NS_PER_US * value);
  return [
    style.bold(`Exchanges over links of ${hardware}, of each kind the largest`),
    ...(exchanges.length === 0
      ? ['  none: no rank sends anything to another']
      : drawTable(
          [
            { head: '', least: 14 },
            ...['ranks', 'nodes', 'bytes'].map((head) => ({ head, align: right })),
            ...['time', 'interval', 'source'].map((head) => ({ head, align: right })),
          ],
          exchanges.map((one) => [
            one.operation,
            String(one.ranks),
            String(one.nodes),
            formatBytes(one.bytes),
            us(one.us),
            `${us(one.low)} to ${us(one.high)}`,
            one.tag,
          ]),
          style.width,
        )),
    ...paragraph(
      'Bytes are the whole buffer of a rank, in f32 as here; intervals hold 80 %. Modelled: curves of measurements ' +
        `cover it; assumed: figures alone (${source}). Nodes are filled in the order of ranks.`,
    ),
    '',
  ];
}

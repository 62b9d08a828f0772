/** Where the time of one step went, told to a person. */
import { formatNs, formatNumber, formatSi, NS_PER_S } from '../../core/units.ts';
import type { RankTime } from '../../runtime/step/virtual-cluster.ts';
import type { RatedRow } from '../../profile/rates.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

/** What is told of a profile. */
export interface ProfileFacts {
  readonly layout: string;
  readonly worldSize: number;
  readonly batch: number;
  readonly tokens: number;
  readonly step: string;
  readonly detail: string;
  readonly wallNs: number;
  readonly rows: readonly RatedRow[];
  readonly voidPasses: number;
  readonly offset?: { readonly errorNs: number };
  readonly ranks: readonly (RankTime & { readonly globalRank: number })[];
  readonly clusterNs: number;
  readonly compileNs: number;
  readonly firstUseNs: number;
  readonly cost: {
    readonly median: number;
    readonly low: number;
    readonly high: number;
    readonly resolved: boolean;
  };
  readonly tuning: { readonly note: string };
}

/** Ranks that are shown; a guess at what one wants to see at a glance. */
const MOST_RANKS = 5;
const right = 'right' as const;

export function renderProfile(profile: ProfileFacts, style: Style = PLAIN): string[] {
  const { layout, worldSize, batch, tokens, step, wallNs, rows, ranks, clusterNs, cost, offset } = profile;
  const [first] = rows;
  return [
    style.bold(
      `One ${step} step of ${batch} x ${tokens} tokens, ${layout} (${worldSize} ranks): ${formatNs(wallNs)}`,
    ),
    ...(first === undefined
      ? []
      : paragraph(`Look here first: ${first.name}, ${formatNs(first.ns)} (${percent(first.share)}).`)),
    '',
    style.bold('Where it went (measured; the rows add up to the step; what can be won comes first)'),
    ...drawTable(
      [
        { head: '', least: 14 },
        { head: 'time', align: right },
        { head: 'share', align: right },
        { head: 'to win', align: right },
        { head: 'calls', align: right, drop: 1 },
        { head: 'rate', align: right, drop: 3 },
        { head: 'bytes', align: right, drop: 4 },
        { head: 'roof', align: right },
        { head: 'hidden', align: right, drop: 2 },
        { head: 'waits', align: right, drop: 5 },
      ],
      [...rows.map(cells), ['all', formatNs(wallNs), '100%', '', '', '', '', '', '', '']],
    ),
    '',
    style.bold('By rank, the slowest first (each on a device of its own, links free)'),
    ...(ranks.length === 0
      ? ['  none: the adapter has no timestamps']
      : drawTable(
          ['rank', 'stage', 'compute', 'communication', 'bubble', 'idle', 'source'].map((head) => ({
            head,
            align: right,
          })),
          ranks
            .slice(0, MOST_RANKS)
            .map((r) => [
              String(r.globalRank),
              String(r.stage),
              ...[r.computeNs, r.communicationNs, r.bubbleNs, r.idleNs].map(
                (ns) => `${formatNs(ns)} ${percent(clusterNs > 0 ? ns / clusterNs : 0)}`,
              ),
              r.source,
            ]),
        )),
    '',
    ...paragraph(
      `Apart from the step: compiling ${formatNs(profile.compileNs)}, first use ${formatNs(profile.firstUseNs)}. ` +
        `Instrumenting (${profile.detail}) makes a step ${formatNumber(cost.median)} times as long ` +
        `(${formatNumber(cost.low)} to ${formatNumber(cost.high)})${cost.resolved ? '' : ': not resolvable'}. ` +
        (offset === undefined ? '' : `Host and GPU clocks are aligned within ${formatNs(offset.errorNs)}. `) +
        (profile.voidPasses === 0 ? '' : `${profile.voidPasses} passes have no time. `) +
        'Times are measured, FLOP and bytes modelled; passes that served many ranks are split by rows; ' +
        'where only the GPU knows those, as of experts, equal parts are assumed.',
    ),
    profile.tuning.note,
  ];
}

function cells(row: RatedRow): string[] {
  const { name, ns, share, calls, flop, bytes, roofShare, recoverableNs, hiddenNs, hostSyncs, group } = row;
  const perSecond = (amount: number, unit: string): string =>
    group === 'gpu busy' && amount > 0 && ns > 0 ? formatSi((amount / ns) * NS_PER_S, unit) : '';
  return [
    name,
    formatNs(ns),
    percent(share),
    recoverableNs === undefined ? '' : formatNs(recoverableNs),
    calls === 0 ? '' : String(calls),
    perSecond(flop, 'FLOP/s'),
    perSecond(bytes, 'B/s'),
    roofShare === undefined ? '' : percent(roofShare),
    hiddenNs === 0 ? '' : formatNs(hiddenNs),
    hostSyncs === 0 ? '' : String(hostSyncs),
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

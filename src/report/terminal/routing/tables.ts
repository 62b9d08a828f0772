/** An experiment of `moebius routing`, told to a person. */
import { at, maxOf, sum } from '../../../core/math.ts';
import { formatBytes, formatNs, formatPercent } from '../../../core/units.ts';
import type { PlacementRow } from '../../../laboratory/placements.ts';
import type { LayerTime } from '../../../laboratory/layer-time.ts';
import type { PolicyOutcome } from '../../../laboratory/policies.ts';
import type { NoiseFloor } from '../../../routing/load.ts';
import { POLICY_IDEAS } from '../../../routing/policies.ts';
import { PLAIN, type Style } from '../style.ts';
import { drawTable, paragraph } from '../table.ts';

type Timed = PolicyOutcome & { readonly time?: LayerTime };

const right = 'right' as const;
const ratio = (value: number): string => value.toFixed(3);

/** What each policy keeps and loses, then what it moves and how long the layer takes. */
export function renderPolicies(policies: readonly Timed[], style: Style = PLAIN): string[] {
  const kept = policies.map((p) => [
    p.policy,
    p.capacity === undefined ? '-' : String(p.capacity),
    formatPercent(p.droppedShare),
    formatPercent(p.massLostShare),
    String(p.rows.moved + p.rows.carried),
    ratio(p.maxOverMean.experts),
    ratio(p.maxOverMean.ranks),
    ratio(p.gini.experts),
    formatPercent(p.paddingWaste),
    ratio(p.layerError),
  ]);
  return [
    ...drawTable(
      [
        { head: 'policy' },
        { head: 'cap', align: right, drop: 2 },
        { head: 'dropped', align: right },
        { head: 'mass', align: right },
        { head: 'moved', align: right },
        { head: 'experts', align: right },
        { head: 'ranks', align: right },
        { head: 'gini', align: right },
        { head: 'padding', align: right },
        { head: 'error', align: right, drop: 1 },
      ],
      kept,
      style.width,
    ),
    ...paragraph(
      'cap: rows a slot may take. mass: router scores lost. moved: rows that went elsewhere or waited. experts, ranks: ' +
        'fullest over mean. gini: of experts. padding: of the grouped GEMM. error: of the output against dropless, modelled.',
    ),
    '',
    ...drawTable(
      [
        { head: 'policy' },
        { head: 'all-to-all', align: right },
        { head: 'most of a pair', align: right },
        { head: 'all ranks', align: right },
        { head: 'fullest rank', align: right },
        { head: 'what is done', drop: 1 },
      ],
      policies.map((p) => [
        p.policy,
        formatBytes(sum(p.allToAllBytes.map((row) => sum(row)))),
        formatBytes(maxOf(p.allToAllBytes.flat(), 0)),
        time(p.time?.allRanksNs),
        time(p.time?.fullestRankNs),
        POLICY_IDEAS[p.policy],
      ]),
      style.width,
    ),
  ];
}

function time(ns: number | undefined): string {
  return ns === undefined ? '-' : formatNs(ns);
}

/** Rows of every rank under each policy; of many ranks the fullest. */
export function renderLoads(policies: readonly PolicyOutcome[], style: Style = PLAIN): string[] {
  return policies.flatMap(({ policy, loadOfRanks, loadOfExperts }) => [
    style.bold(policy),
    ...paragraph(`ranks ${listed(loadOfRanks)}`, '  '),
    // With an expert a rank they are the same.
    ...(loadOfExperts.join() === loadOfRanks.join()
      ? []
      : paragraph(`experts ${listed(loadOfExperts)}`, '  ')),
  ]);
}

/** More ranks or experts than that are told by their fullest. A guess. */
const MOST_LISTED = 32;

function listed(loads: readonly number[]): string {
  if (loads.length <= MOST_LISTED) return loads.join(' ');
  const order = loads.map((load, i) => [load, i] as const).sort((a, b) => b[0] - a[0]);
  const shown = order.slice(0, MOST_LISTED / 2).map(([load, i]) => `${i}: ${load}`);
  return `${shown.join(', ')}, the others ${at(order, MOST_LISTED / 2)[0]} to ${at(order, order.length - 1)[0]}`;
}

/** Balancers side by side, on the same load. */
export function renderPlacements(
  rows: readonly PlacementRow[],
  floor: Pick<NoiseFloor, 'mean' | 'p95'>,
  style: Style = PLAIN,
): string[] {
  return [
    ...drawTable(
      [
        { head: 'balancer' },
        { head: 'slots', align: right },
        { head: 'fullest over mean', align: right },
        { head: 'above even', align: right },
        { head: '' },
      ],
      [
        ...rows.map(({ balancer, slots, maxOverMean, proved }) => [
          balancer,
          String(slots),
          ratio(maxOverMean),
          ratio(maxOverMean - 1),
          proved === undefined ? '' : proved ? 'proved' : 'not proved',
        ]),
        ['noise floor', '', ratio(1 + floor.mean), ratio(floor.mean), `95 % below ${ratio(floor.p95)}`],
      ],
      style.width,
    ),
    ...paragraph(
      'above even: (max - mean) / mean over ranks. noise floor: what perfectly uniform routing of as many tokens shows by ' +
        'chance. Balancers were given the loads that they are judged by.',
    ),
  ];
}

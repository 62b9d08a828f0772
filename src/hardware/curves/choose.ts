/** Which group of measurements answers for a query: its own hardware's, or that of a relative. */
import { dtypeNamed } from '../dtypes.ts';
import { modeOf, nodesOf } from '../plain.ts';
import { PROFILES } from '../profiles/list.ts';
import type { Profile } from '../profiles/profile.ts';
import type { ExchangeQuery, Query } from '../queries.ts';
import { measuredGroups } from './families.ts';
import type { Family, Row } from './family.ts';

export interface Choice {
  readonly group: string;
  readonly rows: readonly Row[];
  /** What stands in for what was asked: `h100_sxm for h800`, `fp8 for fp8_block`. Empty: nothing does. */
  readonly instead: readonly string[];
}

/** Formats whose kernels are most alike, where one was not measured. */
const ALIKE: Readonly<Record<string, readonly string[]>> = {
  bfloat16: [],
  fp8: ['fp8_block', 'bfloat16'],
  fp8_block: ['fp8', 'bfloat16'],
  nvfp4: ['w4a8_mxfp4_mxfp8', 'fp8', 'fp8_block', 'bfloat16'],
  w4a16_mxfp4: ['bfloat16', 'fp8'],
  w4a8_mxfp4_mxfp8: ['w4a16_mxfp4', 'fp8', 'fp8_block', 'bfloat16'],
  int8: ['fp8', 'bfloat16'],
  int8_wo: ['bfloat16'],
};

/** What a query asks for beside its hardware, the best first: a format of numbers, or a collective. */
function kindsOf(query: Query): readonly string[] {
  if (query.op !== 'gemm' && query.op !== 'moe' && !isAttention(query)) return [query.op];
  const { name } = dtypeNamed(query.dtype ?? 'bfloat16');
  return [name, ...(ALIKE[name] ?? [])];
}

function isAttention(
  query: Query,
): query is Extract<Query, { readonly op: `${string}-${'prefill' | 'decode'}` }> {
  return query.op.endsWith('prefill') || query.op.endsWith('decode');
}

/** Of the groups of one hardware and kind that of the library that was asked for, else the one with the most rows. */
function ofLibrary(groups: readonly [string, readonly Row[]][], wanted: string | undefined) {
  const named = groups.filter(([name]) => wanted !== undefined && name.endsWith(` ${wanted}`));
  const usual = groups.filter(([name]) => name.endsWith(' nccl'));
  const narrow = groups.filter(([name]) => !name.endsWith(' wideep'));
  const from = [named, usual, narrow, groups].find((some) => some.length > 0) ?? [];
  return [...from].sort((a, b) => b[1].length - a[1].length)[0];
}

/** The group that is nearest to what was asked; undefined where the family has none at all. */
export function chooseGroup(family: Family, query: Query, hardware: Profile): Choice | undefined {
  // What was measured of an adapter are its ceilings: no relative knows it better.
  if (hardware.launchUs !== undefined) return undefined;
  const groups = [...measuredGroups(family)];
  const kinds = kindsOf(query);
  const wanted = wantedOf(query);
  const far = 'ranks' in query && nodesOf(query, hardware) > 1;
  const relatives = PROFILES.filter(
    ({ name, architecture }) => architecture === hardware.architecture && name !== hardware.name,
  );
  const anyone = PROFILES.filter(({ architecture }) => architecture !== hardware.architecture);
  const exact = kinds.slice(0, 1);
  const rounds: readonly (readonly [readonly Profile[], readonly string[]])[] = [
    [[hardware], exact],
    [relatives, exact],
    [[hardware], kinds],
    [relatives, kinds],
    [anyone, kinds],
  ];
  for (const [profiles, tried] of rounds) {
    for (const kind of tried) {
      for (const { name } of profiles) {
        const some = groups.filter(([group, rows]) => isOf(group, name, kind) && covers(rows, far));
        const found = ofLibrary(
          isExchange(query) ? some.filter(([g]) => g.endsWith(` ${wanted}`)) : some,
          wanted,
        );
        if (found === undefined) continue;
        const instead = [
          ...(name === hardware.name ? [] : [`${name} for ${hardware.name}`]),
          ...(kind === kinds[0] ? [] : [`${kind} for ${kinds[0]}`]),
        ];
        return { group: found[0], rows: found[1], instead };
      }
    }
  }
  return undefined;
}

/** More ranks, or experts placed by load, have kernels of their own. Published tables of the others end here. */
const MOST_NARROW_EP = 64;

function wantedOf(query: Query): string | undefined {
  if (isExchange(query)) return modeOf(query);
  if (query.op !== 'moe' || query.lib !== undefined) return query.lib;
  const wide = query.slots !== undefined || query.placed === true || (query.ep ?? 1) > MOST_NARROW_EP;
  return wide ? 'wideep' : undefined;
}

function isExchange(query: Query): query is ExchangeQuery {
  return query.op === 'ep-dispatch' || query.op === 'ep-combine';
}

function isOf(group: string, system: string, kind: string): boolean {
  const [first, second] = group.split(' ');
  return first === system && second === kind;
}

/** Between nodes, only measurements between nodes count. */
function covers(rows: readonly Row[], far: boolean): boolean {
  return !far || rows.some(({ key }) => Number(key.nodes ?? 1) > 1);
}

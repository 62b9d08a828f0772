/** Where the time of one run went, told to a person: at a glance, and row by row. */
import { sum } from '../../../core/math.ts';
import { formatNs, formatNumber, formatSi, NS_PER_S, shortPercent } from '../../../core/units.ts';
import type { RatedRow } from '../../../profile/rates.ts';
import { drawBars } from '../bars.ts';
import { cellText, PLAIN, type Style } from '../style.ts';
import { drawTable, paragraph, type Column } from '../table.ts';
import { type RankFacts, rankText, renderRanks } from './ranks.ts';

/** What is told of a profile. */
export interface ProfileFacts extends RankFacts {
  readonly adapter: { readonly name: string };
  readonly detail: string;
  readonly wallNs: number;
  readonly rows: readonly RatedRow[];
  readonly parts: readonly { readonly part: string; readonly wallNs: number; readonly steps: number }[];
  readonly voidPasses: number;
  readonly offset?: { readonly errorNs: number };
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

/** What the run was of, as far as it is told. */
export type ProfiledFacts =
  | {
      readonly what: 'step';
      readonly step: string;
      readonly batch: number;
      readonly tokens: number;
      readonly layout: string;
      readonly worldSize: number;
    }
  | {
      readonly what: 'generate';
      readonly promptTokens: number;
      readonly tokens: number;
      readonly layout: string;
      readonly worldSize: number;
    }
  | {
      readonly what: 'op';
      readonly op: string;
      readonly variant: string;
      readonly from: string;
      readonly flop: number;
      readonly bytes: number;
    };

/** 'One prefill step of 16 x 32 tokens, ep=16,pp=4,tp=2,dp=2 (128 ranks)' */
export function profiledText(facts: ProfiledFacts): string {
  switch (facts.what) {
    case 'step':
      return `One ${facts.step} step of ${facts.batch} x ${facts.tokens} tokens, ${ranksText(facts)}`;
    case 'generate':
      return `A prompt of ${facts.promptTokens} tokens and ${facts.tokens} more, ${ranksText(facts)}`;
    case 'op':
      return `One run of ${facts.op} (${facts.variant}), ${facts.from}`;
  }
}

function ranksText({ layout, worldSize }: { readonly layout: string; readonly worldSize: number }): string {
  return `${layout} (${worldSize} rank${worldSize === 1 ? '' : 's'})`;
}

/** What is won first, in a sentence. */
export function firstLook({ rows }: Pick<ProfileFacts, 'rows'>): string | undefined {
  const [first] = rows;
  if (first === undefined) return undefined;
  const { name, ns, share, recoverableNs, roofShare } = first;
  const why =
    recoverableNs === undefined
      ? ''
      : roofShare === undefined
        ? '; the GPU does nothing in it'
        : `; at the measured roof it would take ${formatNs(ns - recoverableNs)}`;
  return `Look here first: ${name}, ${formatNs(ns)} (${shortPercent(share)})${why}.`;
}

/** Rows of the summary, so that all of it fits 24 lines. */
const MOST_BARS = 7;
const right = 'right' as const;

/** At most 24 lines of 80 columns. */
export function renderProfileSummary(profile: ProfileFacts & ProfiledFacts, style: Style = PLAIN): string[] {
  const { rows, wallNs, parts, ranks } = profile;
  const look = firstLook(profile);
  const works = byWork(rows);
  const bars = works.slice(0, MOST_BARS);
  const rest = works.slice(MOST_BARS);
  if (rest.length > 0) bars.push({ name: `${rest.length} more`, ns: sum(rest.map(({ ns }) => ns)) });
  const shares = (['gpu busy', 'gpu idle', 'read-back', 'other'] as const)
    .map((group) => [group, sum(rows.filter((row) => row.group === group).map(({ ns }) => ns))] as const)
    .filter(([, ns]) => ns > 0)
    .map(([group, ns]) => `${group} ${shortPercent(ns / wallNs)}`);
  const partTexts = parts.map(({ part, wallNs: ns, steps }) =>
    steps === 1 ? `${part} ${formatNs(ns)}` : `${part} ${formatNs(ns)}, ${formatNs(ns / steps)} a step`,
  );
  return [
    ...paragraph(`${profiledText(profile)} on ${profile.adapter.name}: ${formatNs(wallNs)}.`, '')
      .slice(0, 3)
      .map((line) => style.bold(line)),
    ...(look === undefined ? [] : paragraph(look, '').slice(0, 2)),
    ...(partTexts.length === 0 ? [] : paragraph(`${partTexts.join('; ')}.`, '').slice(0, 2)),
    '',
    ...drawBars(
      bars.map(({ name, ns }) => ({
        name,
        share: ns / wallNs,
        text: `${formatNs(ns)} ${shortPercent(ns / wallNs)}`,
      })),
    ),
    '',
    ...paragraph(`In all: ${shares.join(', ')}.`, '').slice(0, 2),
    ...(ranks.length < 2
      ? []
      : paragraph(`Slowest of ${ranks.length} ranks, if each had a device: ${rankText(profile)}.`, '')),
    ...paragraph(costText(profile), '').slice(0, 3),
    style.dim('--verbose shows every row and rank, --trace <file> a timeline.'),
  ];
}

/** Times of an operation on all stages and in all parts, the longest first. */
function byWork(rows: readonly RatedRow[]): { name: string; ns: number }[] {
  const byName = new Map<string, number>();
  for (const { name, part, operation, ns } of rows) {
    const work = operation ?? (part === undefined ? name : name.replace(`${part}: `, ''));
    byName.set(work, (byName.get(work) ?? 0) + ns);
  }
  return [...byName].map(([name, ns]) => ({ name, ns })).sort((a, b) => b.ns - a.ns);
}

/** All rows and ranks. */
export function renderProfile(profile: ProfileFacts & ProfiledFacts, style: Style = PLAIN): string[] {
  const { wallNs, rows } = profile;
  const look = firstLook(profile);
  const names: Column = { head: '', least: 14 };
  const numbers = (...heads: string[]): Column[] => heads.map((head) => ({ head, align: right }));
  const passes = rows.filter(({ group }) => group === 'gpu busy');
  return [
    ...paragraph(`${profiledText(profile)} on ${profile.adapter.name}: ${formatNs(wallNs)}`, '').map((line) =>
      style.bold(line),
    ),
    ...(look === undefined ? [] : paragraph(look)),
    '',
    style.bold('Where it went (the rows add up to the run; what can be won comes first)'),
    ...drawTable(
      [names, ...numbers('time', 'share', 'to win', 'hidden', 'calls', 'waits', 'source')],
      [...rows.map(timeCells), ['all', formatNs(wallNs), '100%', '', '', '', '', 'measured']],
      style.width,
    ),
    '',
    style.bold('What the GPU was asked for (modelled), and how fast it was'),
    ...(passes.length === 0
      ? ['  nothing is known: the adapter has no timestamps']
      : drawTable(
          [names, ...numbers('FLOP', 'bytes', 'FLOP/s', 'bytes/s', 'of roof')],
          [...passes.map(rateCells), rateCells(allPasses(profile, passes))],
          style.width,
        )),
    '',
    ...renderRanks(profile, style),
    ...paragraph(costText(profile)),
    ...paragraph(
      'To win is time x (1 - share of the measured roof), all of it where the GPU does nothing; hidden is host work ' +
        'behind a busy GPU, which costs nothing. Times are measured, FLOP and bytes modelled; passes that served many ' +
        'ranks are split by their rows (--detail dispatch gives every rank projections and logits of its own, in bare runs too); ranks whose rows nobody knows are ' +
        'assumed to have equal parts.',
    ),
    ...paragraph(cellText(profile.tuning.note)),
  ];
}

/** All passes as one row. The cost of an op is known of the whole of it. */
function allPasses(profile: ProfiledFacts, passes: readonly RatedRow[]): RateFacts {
  const ns = sum(passes.map((row) => row.ns));
  const cost = profile.what === 'op' ? [profile] : passes;
  const [flop, bytes] = [sum(cost.map((row) => row.flop)), sum(cost.map((row) => row.bytes))];
  const perSecond = (amount: number): number => (ns > 0 ? (amount / ns) * NS_PER_S : 0);
  return { name: 'all', flop, bytes, flopsPerSecond: perSecond(flop), bytesPerSecond: perSecond(bytes) };
}

/** What lies outside of the run, and what looking at it cost. */
function costText({ compileNs, firstUseNs, detail, cost, offset, voidPasses }: ProfileFacts): string {
  return [
    `Apart from it: compiling ${formatNs(compileNs)}, first use ${formatNs(firstUseNs)}.`,
    `Instrumenting (${detail}) makes a run ${formatNumber(cost.median)} times as long ` +
      `(${formatNumber(cost.low)} to ${formatNumber(cost.high)})${cost.resolved ? '' : ': not resolvable'}.`,
    ...(offset === undefined ? [] : [`Host and GPU clocks are aligned within ${formatNs(offset.errorNs)}.`]),
    ...(voidPasses === 0 ? [] : [`${voidPasses} passes have no time.`]),
  ].join(' ');
}

const unlessZero = (value: number, text: string): string => (value === 0 ? '' : text);

function timeCells(row: RatedRow): string[] {
  const { name, ns, share, calls, recoverableNs, hiddenNs, hostSyncs, source } = row;
  return [
    name,
    formatNs(ns),
    shortPercent(share),
    recoverableNs === undefined ? '' : formatNs(recoverableNs),
    unlessZero(hiddenNs, formatNs(hiddenNs)),
    unlessZero(calls, String(calls)),
    unlessZero(hostSyncs, String(hostSyncs)),
    source,
  ];
}

type RateFacts = Pick<
  RatedRow,
  'name' | 'flop' | 'bytes' | 'flopsPerSecond' | 'bytesPerSecond' | 'roofShare'
>;

function rateCells({ name, flop, bytes, flopsPerSecond, bytesPerSecond, roofShare }: RateFacts): string[] {
  return [
    name,
    unlessZero(flop, formatSi(flop, '')),
    unlessZero(bytes, formatSi(bytes, '')),
    flopsPerSecond === undefined ? '' : unlessZero(flopsPerSecond, formatSi(flopsPerSecond, '')),
    bytesPerSecond === undefined ? '' : unlessZero(bytesPerSecond, formatSi(bytesPerSecond, '')),
    roofShare === undefined ? '' : shortPercent(roofShare),
  ];
}

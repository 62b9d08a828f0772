/** Tables of what was checked: kernels by family, and the model on its ranks. */
import { failureText, type FamilyReport } from '../../bench/kernels/check.ts';
import type { ModelReport } from '../../bench/model/check.ts';
import type { RegisteredFacts } from '../../validate/registered.ts';
import { maxOf, sum } from '../../core/math.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

/** How many failures are told one by one. */
const SHOWN_FAILURES = 8;

export function renderFamilies(families: readonly FamilyReport[], style: Style = PLAIN): string[] {
  const rows = families.map(({ family, cases, runs, failed, worstShare }) => [
    family,
    String(cases),
    String(runs),
    failed === 0 ? style.good('pass') : style.bad(`${failed} FAILED`),
    shareText(worstShare),
  ]);
  const failures = families.flatMap(({ family, failures: runs }) =>
    runs.map((run) => failureText(family, run)),
  );
  const more = failures.length - SHOWN_FAILURES;
  return [
    ...drawTable(
      [
        { head: 'family' },
        { head: 'cases', align: 'right' },
        { head: 'runs', align: 'right' },
        { head: 'result' },
        { head: 'worst error / allowed', align: 'right' },
      ],
      [...rows, totalRow(families, style)],
    ),
    ...failures.slice(0, SHOWN_FAILURES).flatMap((failure) => paragraph(style.bad(failure), '  ')),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

/** A line or two for each variant of the user's own: what it was held against, and what not. */
export function renderRegistered(registered: readonly RegisteredFacts[]): string[] {
  return registered.flatMap(({ family, variant, shader, cases, refused, notRun, races }) => {
    const words = [
      `${cases} cases`,
      ...(refused > 0 ? [`${refused} refused by itself`] : []),
      ...(notRun > 0 ? [`${notRun} not tried, since two before failed alike`] : []),
    ];
    return paragraph(`${family}/${variant} (${shader}): ${words.join(', ')}; ${racesText(races)}.`);
  });
}

function racesText(races: RegisteredFacts['races']): string {
  const of = (wanted: string): number => races.filter(({ state }) => state === wanted).length;
  if (of('races') > 0) return 'it races';
  const unknown = races.find(({ state }) => state === 'unknown');
  if (unknown === undefined) return of('none') === 0 ? 'not examined for races' : 'no race found';
  return of('none') === 0
    ? `not examined for races: ${unknown.message}`
    : `no race found, but ${unknown.subject} was not examined: ${unknown.message}`;
}

function totalRow(families: readonly FamilyReport[], style: Style): string[] {
  const of = (key: 'cases' | 'runs' | 'failed'): number => sum(families.map((family) => family[key]));
  return [
    'all',
    String(of('cases')),
    String(of('runs')),
    of('failed') === 0 ? style.good('pass') : style.bad(`${of('failed')} FAILED`),
    shareText(
      maxOf(
        families.map(({ worstShare }) => worstShare),
        0,
      ),
    ),
  ];
}

/** A run that did not end has no error, and one that gave NaN has no bound. */
function shareText(share: number): string {
  if (!Number.isFinite(share)) return 'none';
  return share < 1000 ? share.toFixed(3) : share.toExponential(1);
}

/** How a pair that was compared is headed. */
const PAIRS = [
  { head: 'sharded', who: 'sharded', against: 'known' },
  { head: 'unsharded', who: 'unsharded', against: 'known' },
  { head: 'each other', who: 'sharded', against: 'unsharded' },
] as const;

/** A row per question: each of the two against what is known, and the two against each other. */
export function renderModel(report: ModelReport, style: Style = PLAIN): string[] {
  if (report.error !== undefined) return paragraph(style.bad(`FAILED: ${report.error}`));
  const questions = [...new Set(report.checks.map(({ what }) => what))];
  const rows = questions.map((what) => {
    const asked = report.checks.filter((check) => check.what === what);
    const cells = PAIRS.map(({ who, against }) => {
      const check = asked.find((candidate) => candidate.who === who && candidate.against === against);
      if (check === undefined) return '';
      return check.pass ? check.found : style.bad(check.found);
    });
    const pass = asked.every((check) => check.pass);
    return [what, ...cells, asked[0]?.limit ?? '', pass ? style.good('pass') : style.bad('FAILED')];
  });
  const heads = PAIRS.map(({ head }) => ({ head, align: 'right' as const }));
  return [
    ...drawTable([{ head: '' }, ...heads, { head: 'allowed' }, { head: 'result' }], rows),
    ...paragraph(
      'Differences. Sharded and unsharded are compared with reference.json (experts also with float64), ' +
        'then with each other.',
    ),
  ];
}

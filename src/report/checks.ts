/** Tables of what was checked: kernels by family, and the model on its ranks. */
import type { FamilyReport } from '../bench/kernel-suite.ts';
import type { ModelCheck, ModelReport } from '../bench/model-check.ts';
import { sum } from '../core/math.ts';
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
  const failures = families.flatMap((family) => family.failures);
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

function totalRow(families: readonly FamilyReport[], style: Style): string[] {
  const of = (key: 'cases' | 'runs' | 'failed'): number => sum(families.map((family) => family[key]));
  return [
    'all',
    String(of('cases')),
    String(of('runs')),
    of('failed') === 0 ? style.good('pass') : style.bad(`${of('failed')} FAILED`),
    shareText(Math.max(0, ...families.map(({ worstShare }) => worstShare))),
  ];
}

/** A run that did not end has no error, and one that gave NaN has no bound. */
function shareText(share: number): string {
  return Number.isFinite(share) ? share.toFixed(3) : 'none';
}

/** A row per question, a column per pair that was compared. */
export function renderModel(report: ModelReport, style: Style = PLAIN): string[] {
  const pairs = [...new Set(report.checks.map(pairOf))];
  const questions = [...new Set(report.checks.map(({ what }) => what))];
  const rows = questions.map((what) => {
    const asked = report.checks.filter((check) => check.what === what);
    const cells = pairs.map((pair) => {
      const check = asked.find((candidate) => pairOf(candidate) === pair);
      if (check === undefined) return '';
      return check.pass ? style.good(check.found) : style.bad(`FAILED ${check.found}`);
    });
    return [what, ...cells, asked[0]?.limit ?? ''];
  });
  const heads = pairs.map((head) => ({ head, align: 'right' as const }));
  return drawTable([{ head: 'difference' }, ...heads, { head: 'allowed' }], rows);
}

function pairOf({ who, against }: ModelCheck): string {
  return `${who} - ${against}`;
}

/** What was tuned, told to a person. */
import { summarise } from '../../measure/statistics.ts';
import { formatNs, formatPercent } from '../../core/units.ts';
import { ratio } from '../../tune/decide.ts';
import type { Evidence, TuningPoint } from '../../tune/point.ts';
import { subjectText } from '../../validate/draw/subject.ts';
import type { PlannedPoint, RecheckReport, TuneReport } from '../../tune/tune.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

export function renderTune(report: TuneReport, style: Style = PLAIN): string[] {
  const { points, resumed, unmeasured, wrong } = report;
  return [
    style.bold('Tuned (measured in turn, each after its check; medians)'),
    ...renderPoints(points, style),
    ...paragraph(
      'A choice is kept when it beats the default by more than the default, timed twice in the same rounds, may ' +
        'differ from itself (A/A), and the 95 % interval of their ratio leaves out 1.',
    ),
    ...(resumed === 0
      ? []
      : paragraph(`${resumed} more were measured by an earlier run ("--again" measures them anew).`)),
    ...unmeasured.flatMap(({ what, reason }) => paragraph(style.warn(`not measured: ${what}: ${reason}`))),
    ...wrong.flatMap((w) => paragraph(style.bad(`WRONG: ${w.what}, variant ${w.variant}: ${w.message}`))),
  ];
}

/** A row per shape: what it takes, and by how much. */
export function renderPoints(points: readonly TuningPoint[], style: Style = PLAIN): string[] {
  if (points.length === 0) return ['  nothing'];
  const rows = points.map((point) => {
    const of = (variant: string | null): Evidence | undefined =>
      point.evidence.find((e) => e.variant === variant);
    const [own, taken] = [of(point.default), of(point.choice)];
    const gain = own === undefined || taken === undefined ? '' : `${(1 / ratio(taken, own)).toFixed(2)}x`;
    return [
      subjectText(point.subject),
      roleText(point),
      point.default,
      own === undefined ? '' : formatNs(summarise(own.samplesNs).median),
      point.choice === null ? '' : style.good(point.choice),
      gain,
      formatPercent(point.spread),
    ];
  });
  return drawTable(
    [
      { head: 'shape', least: 20 },
      { head: 'of' },
      { head: 'default', least: 9 },
      { head: 'time', align: 'right' },
      { head: 'tuned', least: 9 },
      { head: 'gain', align: 'right' },
      { head: 'A/A', align: 'right', drop: 1 },
    ],
    rows,
    style.width,
  );
}

/** An expert has two products: one choice each. */
function roleText({ family, sizes, subject }: TuningPoint | PlannedPoint): string {
  if (family !== 'moe') return '';
  return sizes.depth === subject.dims.D ? 'up' : 'down';
}

export function renderPlan(plan: readonly PlannedPoint[], style: Style = PLAIN): string[] {
  const rows = plan.map((p) => [
    subjectText(p.subject),
    p.family,
    p.default,
    p.candidates.join(', '),
    p.refused.map(({ name }) => name).join(', '),
  ]);
  const reasons = new Set(plan.flatMap((p) => p.refused.map((r) => `${p.family} ${r.name}: ${r.reason}`)));
  return [
    style.bold('Would be measured'),
    ...drawTable(
      [
        { head: 'shape', least: 20 },
        { head: 'family' },
        { head: 'default', least: 9 },
        { head: 'against', least: 16 },
        { head: 'cannot', least: 9, drop: 1 },
      ],
      rows,
      style.width,
    ),
    ...[...reasons].flatMap((reason) => paragraph(reason)),
  ];
}

export function renderRecheck(
  { points, dropped, absent, kept, wrong }: RecheckReport,
  style: Style = PLAIN,
): string[] {
  return [
    style.bold(`Re-checked: ${kept} kept, ${dropped.length} dropped`),
    ...renderPoints(points, style),
    ...dropped.flatMap(({ what, reason }) => paragraph(style.warn(`${what}: ${reason}`))),
    ...absent.flatMap((what) =>
      paragraph(style.warn(`${what}: not here, left as it is; --with gives the module of your own`)),
    ),
    ...wrong.flatMap((w) => paragraph(style.bad(`WRONG: ${w.what}, variant ${w.variant}: ${w.message}`))),
  ];
}

/** How time grows with size, told to a person. */
import type { GrowthResult } from '../../bench/model/growth.ts';
import { formatNs } from '../../core/units.ts';
import { PLAIN, type Style } from './style.ts';
import { drawTable, paragraph } from './table.ts';

export function renderGrowth(results: readonly GrowthResult[], style: Style = PLAIN): string[] {
  const rows = results.map(({ name, variable, fit, expected, tolerance, verdict }) => [
    name,
    variable,
    fit === undefined ? '' : fit.exponent.toFixed(2),
    `${expected} +- ${tolerance}`,
    fit === undefined ? '' : fit.rSquared.toFixed(3),
    verdict === 'as expected'
      ? style.good(verdict)
      : verdict === 'unfit'
        ? style.warn(verdict)
        : style.bad(verdict),
  ]);
  const right = 'right' as const;
  return [
    style.bold('Growth of time (measured; least of the samples of each size)'),
    ...drawTable(
      [
        { head: 'kernel', least: 16 },
        { head: 'with' },
        { head: 'exponent', align: right },
        { head: 'expected', align: right },
        { head: 'r2', align: right, drop: 1 },
        { head: 'verdict' },
      ],
      rows,
      style.width,
    ),
    ...results.flatMap((result) => ['', ...pointLines(result)]),
  ];
}

/** The times, those that the fit rests on marked. */
function pointLines({ name, what, variable, points, rule, fit, reason }: GrowthResult): string[] {
  const times = points.map(({ size, leastNs, fitted, timing }) => {
    const time = leastNs === undefined ? timing.state : formatNs(leastNs);
    return `${size}: ${time}${fitted ? '*' : ''}`;
  });
  return [
    ...paragraph(`${name}: ${what}.`),
    ...(times.length === 0 ? [] : paragraph(`${variable} ${times.join(', ')}.`, '    ')),
    ...paragraph(fit === undefined ? reason : `* fitted: ${rule}`, '    '),
  ];
}

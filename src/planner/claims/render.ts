/** Verdicts told to a person, at most 80 columns wide. */
import { wrap } from '../../layout/text.ts';
import type { ClaimResult, ClaimsReport } from './evaluate.ts';
import { solutionText } from './evaluate.ts';

/** Three to five digits, as a person reads them. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6) return value.toExponential(3);
  return size >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(4)));
}

const withUnit = (value: number, unit: string): string => `${figure(value)}${unit && ` ${unit}`}`;

/** @param whole with inputs, formula and command of each. */
export function renderClaims(report: ClaimsReport, whole: boolean): string {
  const counts = Object.entries(report.counts).map(
    ([verdict, count]) => `${count} ${count === 1 ? verdict : (PLURAL[verdict] ?? verdict)}`,
  );
  return [
    ...wrap(`Statements of ${report.strategy}: ${counts.join(', ')}. Every figure is modelled.`, '', '  '),
    ...report.claims.flatMap((claim) => ['', ...claimLines(claim, whole)]),
  ].join('\n');
}

const PLURAL: Readonly<Record<string, string>> = {
  holds: 'hold',
  fails: 'fail',
  'holds under condition': 'hold under a condition',
  'cannot be decided': 'cannot be decided from what is given',
};

/** A verdict as the issue of it has it: 'holds under condition X'. */
function verdictText({ verdict, condition }: ClaimResult): string {
  if (verdict === 'holds under condition') return `holds under condition: ${condition}`;
  if (verdict === 'cannot be decided') return `cannot be decided from what is given: ${condition}`;
  return condition === null ? verdict : `${verdict}: ${condition}`;
}

function claimLines(claim: ClaimResult, whole: boolean): string[] {
  const { id, says, readings, unit, beside, solutions, inputs, formula, command } = claim;
  const lines = [...wrap(`${id}: ${says}`, '', '  '), ...wrap(verdictText(claim), '  ', '    ')];
  const add = (text: string): void => {
    for (const line of wrap(text, '    ', '      ')) lines.push(line);
  };
  for (const { condition, value, holds } of readings) {
    const mark = holds === null ? '' : holds ? 'yes  ' : 'no   ';
    add(`${mark}${withUnit(value, unit)}${condition && `  ${condition}`}`);
  }
  for (const { name, value, unit: of } of beside) add(`${name}: ${withUnit(value, of)}`);
  if (whole && solutions.length > 0) {
    for (const solution of solutions) {
      add(`would hold with ${solutionText(solution)}${solution.condition && ` (${solution.condition})`}`);
    }
  }
  if (whole) {
    for (const { name, value, unit: of, source } of inputs)
      add(`${name} = ${withUnit(value, of)} (${source})`);
    add(`formula: ${formula}`);
    add(`again: ${command}`);
  }
  return lines;
}

/** The parameters of every group, and the bounds of its intervals by what is left out. */
import { FAMILIES, fitOf, measuredGroups, type GroupFit } from '../../src/hardware/curves/families.ts';
import type { Row } from '../../src/hardware/curves/family.ts';
import { fittedParameters } from '../../src/hardware/curves/fitted.ts';
import { leaveOut, leaveSizes } from '../../src/hardware/curves/judge.ts';

/** A group of fewer cells takes the bounds of its kin, or of its family: its own would be chance. A guess. */
const LEAST_CELLS = 100;

const significant = (value: number): number => Number(value.toPrecision(4));

/** Value below which the share `p` of the sorted ones lies. */
function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? NaN;
}

/** @param kept keeps the parameters that there are, and judges them anew. */
export function fits(keep: boolean): Record<string, Record<string, GroupFit>> {
  const found: Record<string, Record<string, GroupFit>> = {};
  for (const family of FAMILIES) {
    const groups = [...measuredGroups(family)].map(([group, rows]) => {
      const kept = keep ? fitOf(family, group)?.parameters : undefined;
      const parameters = kept ?? fittedParameters(family, group, rows).map(significant);
      const model = ({ key }: Row): string => key.model ?? '';
      const byModel =
        new Set(rows.map(model)).size > 1 ? leaveOut(family, group, parameters, rows, model) : [];
      const bySize = family.name === 'collective' ? leaveSizes(family, group, parameters, rows) : [];
      const off = [...leaveOut(family, group, parameters, rows), ...byModel, ...bySize].map(
        ({ error, deviation }) => error / deviation,
      );
      process.stderr.write(`${family.name} ${group}: ${off.length} cells\n`);
      return { group, parameters, off };
    });
    const together = (alike: (group: string) => boolean): number[] =>
      groups.flatMap(({ group, off }) => (alike(group) ? off : []));
    const { kin } = family;
    const boundsOf = (group: string, off: readonly number[]): readonly number[] => {
      if (kin === undefined) return off.length >= LEAST_CELLS ? off : together(() => true);
      const kind = kin.of(group);
      return together((other) => kin.of(other) === kind);
    };
    found[family.name] = Object.fromEntries(
      groups.map(({ group, parameters, off }) => {
        const of = boundsOf(group, off);
        return [
          group,
          { parameters, low: significant(quantile(of, 0.1)), high: significant(quantile(of, 0.9)) },
        ];
      }),
    );
  }
  return found;
}

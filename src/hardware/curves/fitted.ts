/** Fits the few parameters of a family's formula to the logarithms of the times of one group. */
import { levenbergMarquardt } from 'ml-levenberg-marquardt';
import { formulaUs, hardwareOf, termCount, type Family, type Row } from './family.ts';

/** Parameters are fitted as logarithms, within a factor of e^5 of where they start: none becomes negative or runs away. */
const MOST_OFF = 5;

/** So many measurements, evenly chosen, tell a handful of parameters as well as all do. A guess. */
const MOST_CELLS = 1500;

/** One per term, by rows of one group. */
export function fittedParameters(family: Family, group: string, rows: readonly Row[]): number[] {
  const hardware = hardwareOf(group);
  const all = rows.flatMap((row) => row.cells);
  const step = Math.max(1, Math.ceil(all.length / MOST_CELLS));
  const cells = all.filter((_, i) => i % step === 0);
  const terms = cells.map(({ query }) => family.terms(query, hardware));
  const used = terms[0] === undefined ? 0 : termCount(terms[0]);
  const start = family.start.slice(0, used).map(Math.log);
  const { parameterValues } = levenbergMarquardt(
    { x: cells.map((_, i) => i), y: cells.map(({ logUs }) => logUs) },
    (logs: number[]) => {
      const parameters = logs.map(Math.exp);
      return (i: number) => {
        const term = terms[i];
        return term === undefined ? NaN : Math.log(formulaUs(term, parameters));
      };
    },
    {
      ...{ initialValues: start, gradientDifference: 1e-3, centralDifference: true, maxIterations: 100 },
      ...{ damping: 1e-2, errorTolerance: 1e-9 },
      minValues: start.map((value) => value - MOST_OFF),
      maxValues: start.map((value) => value + MOST_OFF),
    },
  );
  return [...parameterValues].map(Math.exp);
}

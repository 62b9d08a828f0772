/** Rows of families that a fit has not seen, as it predicts them: what `moebius accuracy` tells of whole servers. */
import { at } from '../../../src/core/math.ts';
import { fitted } from './fit.ts';
import { figuresOf, TYPICAL } from './parameters.ts';
import type { ServingRow } from './rows.ts';
import { predictor, type Simulated } from './surrogate.ts';

/** Of all rows, spread evenly, one in so many is fitted to: two dozen figures need no more. All are judged. */
export const EVERY = 5;

/** How rows are left out together: no fit may know the model, the hardware, or the model on it. */
export const LEAVINGS: readonly { readonly name: string; readonly of: (row: ServingRow) => string }[] = [
  { name: 'model', of: ({ model }) => model.name },
  { name: 'hardware', of: ({ system }) => system },
  { name: 'family', of: ({ family }) => family },
];

/** One row without its own: ms, and the share of TTFT that is queueing. */
export interface Judged {
  readonly row: ServingRow;
  readonly tpotMs: readonly number[];
  readonly ttftMs: readonly number[];
  readonly queueing: number;
  /** Without the model on its hardware, and without a name for the framework. */
  readonly unnamed: { readonly tpotMs: number; readonly ttftMs: number; readonly queueing: number };
}

/** Rows, simulated, and logarithms that they were simulated with, fitted to all. */
interface Known {
  readonly sims: readonly Simulated[];
  /** The same by the framework that serves such a model usually. */
  readonly unnamed: readonly Simulated[];
  /** One in `EVERY` by what all frameworks have in common. */
  readonly typical: readonly Simulated[];
  readonly logs: readonly number[];
  /** Is told of each fold. */
  readonly tell: (text: string) => void;
}

/** Every row predicted once per way of leaving out. */
export function leftOut({ sims, unnamed, typical, logs, tell }: Known): Judged[] {
  const begun = figuresOf(logs);
  const judged = sims.map(({ row, queueingShare }) => ({
    ...{ row, queueing: queueingShare, tpotMs: [] as number[], ttftMs: [] as number[] },
    unnamed: { tpotMs: NaN, ttftMs: NaN, queueing: NaN },
  }));
  const usual = new Map(unnamed.map((one) => [one.row.id, one]));
  for (const { name, of } of LEAVINGS) {
    for (const out of new Set(sims.map(({ row }) => of(row)))) {
      const rest = sims.filter(({ row }, i) => of(row) !== out && i % EVERY === 0);
      const found = fitted(rest, logs);
      const figures = figuresOf(found);
      const all =
        name === 'family'
          ? figuresOf(
              fitted(
                typical.filter(({ row }) => of(row) !== out),
                found,
                TYPICAL,
                logs,
              ),
            )
          : undefined;
      for (const [i, one] of sims.entries()) {
        if (of(one.row) !== out) continue;
        const { tpot, ttft } = predictor(one, begun)(figures);
        at(judged, i).tpotMs.push(Math.exp(tpot));
        at(judged, i).ttftMs.push(Math.exp(ttft));
        const other = usual.get(one.row.id);
        if (all === undefined || other === undefined) continue;
        const told = predictor(other, begun)(all);
        at(judged, i).unnamed = {
          tpotMs: Math.exp(told.tpot),
          ttftMs: Math.exp(told.ttft),
          queueing: other.queueingShare,
        };
      }
      tell(`without ${name} ${out}`);
    }
  }
  return judged;
}

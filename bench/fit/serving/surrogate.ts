/**
 * One row simulated, and what its answers become when the figures change a little: the steps that it took, priced anew.
 * Times of a simulation hang on its figures nearly in proportion to its steps, so a fit needs few simulations.
 */
import { sum } from '../../../src/core/math.ts';
import { ConfigError } from '../../../src/core/errors.ts';
import { project } from '../../../src/planner/project/project.ts';
import type { StepLoad } from '../../../src/planner/serving/step-cost.ts';
import type { Figures } from './parameters.ts';
import type { ServingRow } from './rows.ts';

/** A simulated row. ms. */
export interface Simulated {
  readonly row: ServingRow;
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly queueingShare: number;
  readonly requestMs: number;
  /** Steps that sequences waited for between two of their tokens, and steps that read prompts. */
  readonly between: readonly Weighted[];
  readonly reading: readonly Weighted[];
}

interface Weighted {
  readonly load: StepLoad;
  readonly weight: number;
}

/** Steps that stand for all of a run. A guess: a run has some hundreds of kinds. */
const KEPT = 12;

/** The row with these figures; undefined for one that does not fit its memory. */
export function simulated(
  row: ServingRow,
  { fitted, framework }: Figures,
  most = 200_000,
): Simulated | undefined {
  const of = framework[row.backend];
  try {
    const { summary, simulation } = project({ ...row.setting, framework: of, fitted, keepStretches: most });
    let running = 0;
    const between: Weighted[] = [];
    const reading: Weighted[] = [];
    for (const { load, steps } of simulation.stretches) {
      if (load.decodes > 0) running = load.decodes;
      if (running > 0) between.push({ load, weight: steps * running });
      if (load.prompts > 0) reading.push({ load, weight: steps * load.prompts });
    }
    return {
      row,
      ...{ ttftMs: summary.ttftMs.mean, tpotMs: summary.tpotMs.mean, queueingShare: summary.queueingShare },
      ...{ requestMs: of.requestMs, between: sampled(between), reading: sampled(reading) },
    };
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** Evenly along the weights. */
function sampled(all: readonly Weighted[]): Weighted[] {
  const total = sum(all.map(({ weight }) => weight));
  const kept: Weighted[] = [];
  let passed = 0;
  for (const { load, weight } of all) {
    const first = Math.ceil((passed / total) * KEPT - 0.5);
    passed += weight;
    const last = Math.ceil((passed / total) * KEPT - 0.5);
    if (last > first) kept.push({ load, weight: last - first });
  }
  return kept;
}

/** log TPOT and log TTFT of a simulated row with other figures. @param begun those that it was simulated with. */
export function predictor(
  one: Simulated,
  begun: Figures,
): (figures: Figures) => { tpot: number; ttft: number } {
  const { row, between, reading, queueingShare: q } = one;
  const priceOf = ({ fitted, framework }: Figures): { between: number; reading: number } => {
    const cost = row.price(framework[row.backend], fitted);
    const mean = (steps: readonly Weighted[]): number =>
      sum(steps.map(({ load, weight }) => weight * cost(load).total)) /
      sum(steps.map(({ weight }) => weight));
    return { between: mean(between), reading: mean(reading) };
  };
  const before = priceOf(begun);
  const rest = Math.max(0.1, one.ttftMs - one.requestMs);
  return (figures) => {
    const now = priceOf(figures);
    const { requestMs } = figures.framework[row.backend];
    const scale = (1 - q) * (now.reading / before.reading) + q * (now.between / before.between);
    return {
      tpot: Math.log(one.tpotMs * (now.between / before.between)),
      ttft: Math.log(requestMs + rest * scale),
    };
  };
}

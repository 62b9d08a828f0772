/** Steps of an engine, bare and instrumented in shuffled turns: where the time of one goes, and what looking costs. */
import { shuffled } from '../measure/rounds.ts';
import { at, maxOf, range } from '../core/math.ts';
import { seededRandom } from '../core/random.ts';
import { median, summarise, type Summary } from '../measure/statistics.ts';
import type { Engine, StepOptions, StepResult } from '../runtime/engine.ts';
import type { Request } from '../runtime/step/plan.ts';
import { accountOf, type Account } from './account.ts';
import { virtualCluster, type VirtualCluster } from '../runtime/step/virtual-cluster.ts';

/** Of the order of the turns. */
const SEED = 1;

export type ProfileDetail = 'pass' | 'dispatch';

export interface StepProfile {
  /** Of the instrumented step with the median wall time. */
  readonly account: Account;
  readonly cluster: VirtualCluster;
  readonly step: StepResult;
  /** The first step of all, with what only a first one does, ns. */
  readonly firstNs: number;
  readonly bareNs: readonly number[];
  readonly instrumentedNs: readonly number[];
  /** Instrumented over bare, round by round. */
  readonly cost: Summary;
  /** False: the interval of `cost` holds 1, or there are too few rounds to say. */
  readonly costResolved: boolean;
}

export interface ProfileOptions {
  readonly detail: ProfileDetail;
  readonly rounds: number;
  /** What the profiled step is given. */
  readonly requests: readonly Request[];
  /** What comes before it, for a step that continues. */
  readonly before?: readonly Request[] | undefined;
  readonly say?: (text: string) => void;
}

/** Fewer paired rounds than so many give no interval of 95 %. */
const LEAST_ROUNDS = 6;

/** @throws ConfigError for requests that the engine was not made for. */
export async function profileSteps(engine: Engine, options: ProfileOptions): Promise<StepProfile> {
  const { detail, rounds, requests, before, say = () => undefined } = options;
  const run = (timing: NonNullable<StepOptions['timing']>): Promise<StepResult> =>
    engine.exclusively(async (steps) => {
      steps.reset();
      if (before !== undefined) await steps.forward(before);
      return steps.forward(requests, { timing });
    });
  say('first step');
  const firstNs = (await run('none')).hostNs;
  const timing = detail === 'pass' ? 'span' : 'dispatch';
  const random = seededRandom(SEED);
  const results: Record<'bare' | 'instrumented', StepResult[]> = { bare: [], instrumented: [] };
  for (const round of range(rounds)) {
    say(`round ${round + 1} of ${rounds}`);
    for (const which of shuffled(['bare', 'instrumented'] as const, random)) {
      results[which].push(await run(which === 'bare' ? 'none' : timing));
    }
  }
  const timesOf = (steps: readonly StepResult[]): number[] => steps.map(({ hostNs }) => hostNs);
  const [bareNs, instrumentedNs] = [timesOf(results.bare), timesOf(results.instrumented)];
  const cost = summarise(instrumentedNs.map((ns, i) => ns / at(bareNs, i)));
  const middle = median(instrumentedNs);
  const step = results.instrumented.reduce((a, b) =>
    Math.abs(b.hostNs - middle) < Math.abs(a.hostNs - middle) ? b : a,
  );
  const resolved = rounds >= LEAST_ROUNDS && (cost.low > 1 || cost.high < 1);
  return {
    account: accountOf(step),
    cluster: virtualCluster(step),
    ...{ step, firstNs, bareNs, instrumentedNs, cost, costResolved: resolved },
  };
}

/** unionNs([{0, 10}, {5, 12}, {20, 21}]) = 13: the time that at least one of them covers. */
export function unionNs(intervals: readonly { readonly beginNs: number; readonly endNs: number }[]): number {
  let [covered, until] = [0, -Infinity];
  for (const { beginNs, endNs } of [...intervals].sort((a, b) => a.beginNs - b.beginNs)) {
    covered += Math.max(0, endNs - Math.max(beginNs, until));
    until = maxOf([until, endNs]);
  }
  return covered;
}

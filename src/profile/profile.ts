/** Runs, bare and instrumented in shuffled turns: where the time of one goes, and what looking costs. */
import { at, maxOf, range } from '../core/math.ts';
import { seededRandom, shuffled } from '../core/random.ts';
import { median, summarise, type Summary } from '../measure/statistics.ts';
import { accountOfRun, type Account } from './account.ts';
import { axisOf, type Bounded, type DeviceAxis } from './host-offset.ts';
import { clusterOf, type NamedLinks, type ProfiledRun, type RunCluster } from './run.ts';
import type { Subject } from './subjects/subject.ts';

/** Of the order of the turns. */
const SEED = 1;

export type ProfileDetail = 'pass' | 'dispatch';

export interface RunProfile {
  /** Of the instrumented run with the median wall time. */
  readonly account: Account;
  readonly cluster: RunCluster;
  readonly run: ProfiledRun;
  /** The device's clock by what all runs tell of it. */
  readonly axis: DeviceAxis;
  /** The first run of all, with what only a first one does, ns. */
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
  /** Other passes of the same device whose bounds tell of its clock. */
  readonly anchors?: readonly Bounded[];
  /** Of the virtual cluster; free when absent. */
  readonly links?: NamedLinks;
  readonly say?: (text: string) => void;
}

/** Fewer paired rounds than so many give no interval of 95 %. */
const LEAST_ROUNDS = 6;

/** @throws ConfigError for what the subject cannot run. */
export async function profileRuns(subject: Subject, options: ProfileOptions): Promise<RunProfile> {
  const { detail, rounds, anchors = [], say = () => undefined } = options;
  // A rank's own time is that of its own products.
  const apart = detail === 'dispatch';
  say('first run');
  const firstNs = (await subject.run('none', apart)).wallNs;
  say('whose rows');
  const expertRows = (await subject.expertRows?.()) ?? [];
  const timing = detail === 'pass' ? 'span' : 'dispatch';
  const random = seededRandom(SEED);
  const runs: Record<'bare' | 'instrumented', ProfiledRun[]> = { bare: [], instrumented: [] };
  for (const round of range(rounds)) {
    say(`round ${round + 1} of ${rounds}`);
    for (const which of shuffled(['bare', 'instrumented'] as const, random)) {
      runs[which].push(await subject.run(which === 'bare' ? 'none' : timing, apart));
    }
  }
  const timesOf = (of: readonly ProfiledRun[]): number[] => of.map(({ wallNs }) => wallNs);
  const [bareNs, instrumentedNs] = [timesOf(runs.bare), timesOf(runs.instrumented)];
  const cost = summarise(instrumentedNs.map((ns, i) => ns / at(bareNs, i)));
  const middle = median(instrumentedNs);
  const chosen = runs.instrumented.reduce((a, b) =>
    Math.abs(b.wallNs - middle) < Math.abs(a.wallNs - middle) ? b : a,
  );
  const pieces = chosen.pieces.map((piece, i) => ({ ...piece, expertRows: expertRows[i] ?? [] }));
  const run = { ...chosen, pieces };
  const others = [...anchors, ...runs.instrumented.flatMap((other) => other.pieces)];
  return {
    account: accountOfRun(run, others),
    cluster: clusterOf(run, options.links),
    axis: axisOf(pieces, others),
    ...{ run, firstNs, bareNs, instrumentedNs, cost },
    costResolved: rounds >= LEAST_ROUNDS && (cost.low > 1 || cost.high < 1),
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

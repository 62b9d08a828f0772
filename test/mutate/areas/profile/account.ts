/** Faults of profiles: the account, the clocks, ranks, timelines, figures of a run while it goes. */
import { faultsIn, type Mutant } from '../../mutant.ts';

const byHand = { tests: ['profile/account.test.ts'], only: 'by hand' };
const timeline = { tests: ['profile/timeline.test.ts'], only: '128 ranks' };
const metrics = { tests: ['cli/metrics/metrics.test.ts'] };

export const profileFaults: readonly Mutant[] = [
  ...faultsIn('src/profile/account.ts', byHand, [
    {
      find: "if (phase !== 'read-back') row('gpu idle', `host: ${phase}`).hiddenNs += to - from;",
      replace: '',
      why: 'host work behind a busy GPU is not told',
    },
    {
      find: "rows.set('other', { ...other, ns: other.ns + rest });",
      replace: '',
      why: 'time between the pieces of a run is in no row',
    },
    {
      find: 'else for (const key of ADDED) there[key] += row[key];',
      replace: '',
      why: 'of all decode steps the first is told',
    },
    {
      find: 'if (seen.has(tag)) continue;',
      replace: '',
      why: 'the cost of a span counts once for each of its passes',
    },
  ]),
  ...faultsIn('src/profile/host-offset.ts', byHand, [
    {
      find: 'least = Math.max(least,',
      replace: 'least = Math.min(least === -Infinity ? Infinity : least,',
      why: 'the loosest list bounds the offset',
    },
    {
      find: 'if (ns === undefined) continue;',
      replace: '',
      why: 'a pass whose clock went backwards bounds the offset',
    },
    {
      find: 'joint.offset.errorNs < 0 ?',
      replace: 'joint.offset.errorNs < -Infinity ?',
      why: 'bounds that contradict each other are believed',
    },
  ]),
  ...faultsIn('src/runtime/step/virtual-cluster.ts', byHand, [
    {
      find: 'const rowsOf = tag.rowsOf ?? expertsHave;',
      replace: 'const rowsOf = tag.rowsOf;',
      why: 'experts are split into equal parts though their rows are known',
    },
    {
      find: "if (ranks.length > 1) last.source = weaker(rowsOf === undefined ? 'assumed' : 'split', last.source);",
      replace: '',
      why: 'a part of a shared pass is called measured',
    },
  ]),
  ...faultsIn('src/profile/links.ts', { tests: ['profile/links.test.ts'] }, [
    {
      find: 'most: Math.max(sent, expertRows?.[rank] ?? 0)',
      replace: 'most: sent',
      why: 'the rank that receives the most waits for nobody',
    },
    {
      find: 'Math.floor(rank / hardware.node.gpus)',
      replace: '0 * rank',
      why: 'all ranks are on one node',
    },
  ]),
  ...faultsIn('src/runtime/step/trace.ts', byHand, [
    {
      find: 'const owner = rank - (rank % ep) + Math.floor(slot / slotsOfRank);',
      replace: 'const owner = Math.floor(slot / slotsOfRank);',
      why: 'rows of all replicas go to the first',
    },
  ]),
  ...faultsIn('src/profile/timeline/perfetto.ts', timeline, [
    {
      find: 'const TYPES = { begin: 1, end: 2, count: 4 } as const;',
      replace: 'const TYPES = { begin: 1, end: 2, count: 3 } as const;',
      why: 'counters are instants',
    },
    {
      find: 'packets === 0 ? CLEARED : NEEDED',
      replace: 'CLEARED',
      why: 'every packet forgets the names before it',
    },
    {
      find: 'this.#fresh = [];',
      replace: '',
      why: 'every name is told again in every packet',
    },
  ]),
  ...faultsIn('src/profile/timeline/counters.ts', timeline, [
    {
      find: 'flow(beginNs + ns, -bytes);',
      replace: '',
      why: 'bytes in flight never arrive',
    },
    {
      find: 'work.fullest = Math.max(work.fullest, rows);',
      replace: 'work.fullest = rows;',
      why: 'the last rank is taken for the fullest',
    },
  ]),
  ...faultsIn('src/profile/timeline/timeline.ts', timeline, [
    {
      find: 'const receives = isFirst && stage > 0',
      replace: 'const receives = stage > 0',
      why: 'a flow ends at every operation of the next stage',
    },
  ]),
  ...faultsIn('src/cli/metrics/step-metrics.ts', metrics, [
    {
      find: 'rows.map((own, rank) => own + (before?.[rank] ?? 0)),',
      replace: 'rows,',
      why: 'of all layers the last one is told',
    },
  ]),
  ...faultsIn('src/cli/metrics/server.ts', { ...metrics, only: 'ends with a run' }, [
    {
      find: "isRead ? 404 : 405, { 'content-type'",
      replace: "200, { 'content-type'",
      why: 'any path is answered as if it were there',
    },
  ]),
];

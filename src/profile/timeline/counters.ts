/** What a stage has to do at a moment of the virtual cluster: rows of its experts, and bytes between its ranks. */
import { isCommunication, type RankSlice } from '../../runtime/step/virtual-cluster.ts';

export interface StageCount {
  readonly stage: number;
  readonly ns: number;
  /** Rows of experts on the fullest rank, and on all; absent where they do not change. */
  readonly fullest?: number;
  readonly all?: number;
  /** Modelled. */
  readonly bytes?: number;
}

interface Work {
  endNs: number;
  fullest: number;
  all: number;
}

/** Stage by stage, each in order of time; 0 where nothing goes on. @param slices in order of stages. */
export function* stageCounters(slices: readonly RankSlice[]): Generator<StageCount> {
  // Bytes are in flight while links are waited for, and without a model of them while rows are moved here.
  const linked = slices.some(({ source }) => source === 'modelled');
  for (let first = 0; first < slices.length;) {
    const stage = slices[first]?.stage ?? 0;
    // Ranks of a stage begin an operation together.
    const experts = new Map<number, Work>();
    const flows = new Map<number, number>();
    const flow = (ns: number, bytes: number): void => void flows.set(ns, (flows.get(ns) ?? 0) + bytes);
    let next = first;
    for (; slices[next]?.stage === stage; next++) {
      const slice = slices[next];
      if (slice === undefined) break;
      const { operation, beginNs, ns, rows, bytes, source } = slice;
      if (linked ? source === 'modelled' : isCommunication(operation)) {
        flow(beginNs, bytes);
        flow(beginNs + ns, -bytes);
      }
      if (operation !== 'experts' || rows === undefined) continue;
      const work = experts.get(beginNs) ?? { endNs: 0, fullest: 0, all: 0 };
      work.endNs = Math.max(work.endNs, beginNs + ns);
      work.fullest = Math.max(work.fullest, rows);
      work.all += rows;
      experts.set(beginNs, work);
    }
    first = next;
    for (const [ns, { endNs, fullest, all }] of inOrder(experts)) {
      yield { stage, ns, fullest, all };
      yield { stage, ns: endNs, fullest: 0, all: 0 };
    }
    let inFlight = 0;
    let open = 0;
    for (const [ns, change] of inOrder(flows)) {
      inFlight += change;
      open = Math.max(open, inFlight);
      // What is left over of sums of fractions is nothing.
      yield { stage, ns, bytes: inFlight > 1e-9 * open ? Math.round(inFlight) : 0 };
    }
  }
}

function inOrder<T>(byTime: ReadonlyMap<number, T>): [number, T][] {
  return [...byTime].sort(([a], [b]) => a - b);
}

/** What links of a named hardware take for the exchanges of a step: modelled, beside passes that are measured here. */
import { at, maxOf, range } from '../core/math.ts';
import type { Profile } from '../hardware/profiles/profile.ts';
import type { Collective, Timing } from '../hardware/queries.ts';
import { timeOf } from '../hardware/time-of.ts';
import { globalRank, type Layout } from '../layout/layout.ts';
import type { LinkModel, LinkWait } from '../runtime/step/virtual-cluster.ts';
import type { NamedLinks } from './run.ts';

/** Rows travel as f32, as they do here. */
const BYTES_PER_VALUE = 4;

/** What is asked of the hardware's curves: bytes as nccl-tests count them, the whole buffer of a rank. */
interface Sent {
  readonly op: Collective;
  readonly bytes: number;
  readonly ranks: number;
  readonly nodes: number;
}

/** The largest exchange of a kind, with an 80 % interval. */
export interface LinkedExchange extends Omit<Sent, 'op'>, Timing {
  /** 'all-to-all': the operation of the step that it belongs to. */
  readonly operation: string;
}

export interface ModelledLinks extends NamedLinks {
  /** What has been asked of it so far, in the order in which a step first does it. */
  readonly exchanges: () => LinkedExchange[];
}

/** @param hardware whose nodes are filled by ranks in their order: the first `node.gpus` ranks of the layout are one. */
export function linksOf(layout: Layout, hardware: Profile): ModelledLinks {
  const { ep, tp } = layout.spec;
  const rowBytes = BYTES_PER_VALUE * layout.model.modelDim;
  const nodesOf = (ranks: readonly number[]): number =>
    new Set(ranks.map((rank) => Math.floor(rank / hardware.node.gpus))).size;
  const timings = new Map<string, Timing>();
  const largest = new Map<string, LinkedExchange>();
  const waitFor = (operation: string, sent: Sent): number => {
    const { op, bytes, ranks, nodes } = sent;
    if (bytes === 0 || ranks === 1) return 0;
    const asked = `${op} ${bytes} ${ranks} ${nodes}`;
    const timing = timings.get(asked) ?? timeOf(sent, hardware);
    timings.set(asked, timing);
    const kind = `${operation} ${ranks} ${nodes}`;
    if (bytes > (largest.get(kind)?.bytes ?? 0))
      largest.set(kind, { operation, bytes, ranks, nodes, ...timing });
    return 1e3 * timing.us;
  };
  /** Ranks of the stage in groups of neighbours, each of which waits for the fullest of its members. */
  const inGroups = (
    { stage, operation, count }: { stage: number; operation: string; count: number },
    [op, size]: readonly [Collective, number],
    rowsOf: (rank: number) => { readonly sent: number; readonly most: number },
  ): LinkWait[] =>
    range(count / size).flatMap((group) => {
      const members = range(size).map((i) => group * size + i);
      const bytes = rowBytes * maxOf(members.map((rank) => rowsOf(rank).most));
      const nodes = nodesOf(members.map((rank) => globalRank(layout, stage, rank)));
      const ns = waitFor(operation, { op, bytes, ranks: size, nodes });
      return members.map((rank) => ({ ns, bytes: (rowBytes * rowsOf(rank).sent * (size - 1)) / size }));
    });
  const model: LinkModel = ({ stage, operation, ranks: { count }, rowsOf }, expertRows) => {
    const rows = (rank: number): number => (rowsOf === undefined ? 0 : at(rowsOf, rank));
    const whole = (rank: number) => ({ sent: rows(rank), most: rows(rank) });
    const place = { stage, operation, count };
    switch (operation) {
      case 'reduce-scatter':
        return inGroups(place, ['reduce_scatter', tp], whole);
      case 'all-gather':
        return inGroups(place, ['all_gather', tp], whole);
      case 'all-to-all':
        // There and back: what is sent one way is received the other.
        return inGroups(place, ['alltoall', ep], (rank) => {
          const sent = rows(rank) * layout.model.topK;
          return { sent, most: Math.max(sent, expertRows?.[rank] ?? 0) };
        });
      case 'send':
        return range(count).map((rank) => {
          const ends = [stage, stage + 1].map((one) => globalRank(layout, one, rank));
          const bytes = rowBytes * rows(rank);
          // One way is as long as both at once: an exchange of two ranks, each of which keeps half.
          const pair: Sent = { op: 'alltoall', bytes: 2 * bytes, ranks: 2, nodes: nodesOf(ends) };
          return { ns: waitFor(operation, pair), bytes };
        });
      default:
        return [];
    }
  };
  return { name: hardware.name, model, exchanges: () => [...largest.values()] };
}

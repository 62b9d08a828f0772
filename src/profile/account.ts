/**
 * Where the wall time of one step went. Every moment of it belongs to one row: to a pass while the GPU runs one, and to
 * what the host did, or waited for, while it runs none. So the rows add to the wall time by construction.
 */
import { maxOf, minOf, sum } from '../core/math.ts';
import type { StepResult } from '../runtime/engine.ts';
import { hostOffset, type HostOffset } from './host-offset.ts';

export type AccountGroup = 'gpu busy' | 'gpu idle' | 'read-back' | 'other';

export interface AccountRow {
  readonly group: AccountGroup;
  /** 'stage 0 experts', 'host: record', 'between passes'. */
  readonly name: string;
  readonly stage?: number;
  readonly operation?: string;
  readonly ns: number;
  /** Of the wall time. */
  readonly share: number;
  /** Passes, or how often the host did it. */
  readonly calls: number;
  /** Modelled; of all passes. */
  readonly flop: number;
  readonly bytes: number;
  /** Host time of this kind behind a busy GPU, ns: it costs nothing, and is in no row's time. */
  readonly hiddenNs: number;
  /** Host waits in it. */
  readonly hostSyncs: number;
  readonly source: 'measured';
}

export interface Account {
  /** From planning the step to having its result, by the host's clock, ns. */
  readonly wallNs: number;
  readonly rows: readonly AccountRow[];
  /** Absent without timestamps: then the GPU's time is in the row 'device and read-back'. */
  readonly offset?: HostOffset;
  /** Passes whose clock went backwards: their time is between passes. */
  readonly voidPasses: number;
}

interface Busy {
  readonly beginNs: number;
  readonly endNs: number;
  readonly key: string;
}

type Draft = { -readonly [K in keyof AccountRow]: AccountRow[K] };

export function accountOf(step: Pick<StepResult, 'spans' | 'submits' | 'host' | 'hostNs'>): Account {
  const { spans, host, hostNs: wallNs } = step;
  const originNs = spans[0]?.beginNs ?? 0n;
  const offset = hostOffset(step, originNs);
  const rows = new Map<string, Draft>();
  const row = (group: AccountGroup, name: string): Draft => {
    const there = rows.get(name);
    if (there !== undefined) return there;
    const fresh: Draft = {
      ...{ group, name, ns: 0, share: 0, calls: 0, flop: 0, bytes: 0, hiddenNs: 0, hostSyncs: 0 },
      source: 'measured',
    };
    rows.set(name, fresh);
    return fresh;
  };
  const busy = busyTimes(step, originNs, offset?.ns ?? 0);
  const firstNs = busy[0]?.beginNs ?? Infinity;
  const lastNs = busy.at(-1)?.endNs ?? -Infinity;
  const seen = new Set<unknown>();
  for (const { tag } of spans) {
    const own = row('gpu busy', keyOf(tag));
    own.stage = tag.stage;
    own.operation = tag.operation;
    own.calls += 1;
    if (seen.has(tag)) continue;
    seen.add(tag);
    own.flop += tag.flop;
    own.bytes += tag.bytes;
  }
  let next = 0;
  for (const { phase, beginNs, endNs } of host) {
    const idle = (from: number, to: number): void => {
      if (!(to > from)) return;
      if (phase !== 'read-back') {
        row('gpu idle', `host: ${phase}`).ns += to - from;
        return;
      }
      if (busy.length === 0) {
        row('read-back', 'device and read-back').ns += to - from;
        return;
      }
      const before = Math.max(0, Math.min(to, firstNs) - from);
      const after = Math.max(0, to - Math.max(from, lastNs));
      if (before > 0) row('gpu idle', 'submit wait').ns += before;
      if (after > 0) row('read-back', 'read-back').ns += after;
      const rest = to - from - before - after;
      if (rest > 0) row('gpu idle', 'between passes').ns += rest;
    };
    if (phase === 'read-back')
      row('read-back', busy.length === 0 ? 'device and read-back' : 'read-back').hostSyncs += 1;
    else row('gpu idle', `host: ${phase}`).calls += 1;
    let at = beginNs;
    for (; next < busy.length; next++) {
      const pass = busy[next];
      if (pass === undefined || pass.beginNs >= endNs) break;
      const from = Math.max(at, pass.beginNs);
      const to = Math.min(endNs, pass.endNs);
      idle(at, from);
      if (to > from) {
        row('gpu busy', pass.key).ns += to - from;
        if (phase !== 'read-back') row('gpu idle', `host: ${phase}`).hiddenNs += to - from;
        at = to;
      }
      if (pass.endNs > endNs) break;
    }
    idle(at, endNs);
  }
  const rest = wallNs - sum([...rows.values()].map(({ ns }) => ns));
  if (Math.abs(rest) > 1) row('other', 'other').ns = rest;
  for (const own of rows.values()) own.share = wallNs > 0 ? own.ns / wallNs : 0;
  return {
    wallNs,
    rows: [...rows.values()],
    ...(offset !== undefined && { offset }),
    voidPasses: spans.filter(({ ns }) => ns === undefined).length,
  };
}

function keyOf({ stage, operation }: { stage: number; operation: string }): string {
  return `stage ${stage} ${operation}`;
}

/** Passes on the host's axis in order, none over another: where two overlap the time is the first's. */
function busyTimes(
  { spans, host }: Pick<StepResult, 'spans' | 'host'>,
  originNs: bigint,
  offsetNs: number,
): Busy[] {
  const [beginNs, endNs] = [host[0]?.beginNs ?? 0, host.at(-1)?.endNs ?? 0];
  const all = spans
    .filter(({ ns }) => ns !== undefined)
    .map((span) => ({
      beginNs: Number(span.beginNs - originNs) + offsetNs,
      endNs: Number(span.endNs - originNs) + offsetNs,
      key: keyOf(span.tag),
    }))
    .sort((a, b) => a.beginNs - b.beginNs);
  let until = beginNs;
  return all.flatMap((pass) => {
    const from = maxOf([pass.beginNs, until]);
    const to = minOf([pass.endNs, endNs]);
    if (!(to > from)) return [];
    until = to;
    return [{ beginNs: from, endNs: to, key: pass.key }];
  });
}

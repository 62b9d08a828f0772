/**
 * Where the wall time of one run went. Every moment of it belongs to one row: to a pass while the GPU runs one, and to
 * what the host did, or waited for, while it runs none. So the rows add to the wall time by construction.
 */
import { maxOf, minOf, sum } from '../core/math.ts';
import { axisOf, deviceAxis, onHost, type DeviceAxis, type HostOffset } from './host-offset.ts';
import { workOf, type ProfiledRun, type RunPiece } from './run.ts';

export type AccountGroup = 'gpu busy' | 'gpu idle' | 'read-back' | 'other';

export interface AccountRow {
  readonly group: AccountGroup;
  /** 'stage 0 experts', 'host: record', 'between passes'; with its part in front where a run has several. */
  readonly name: string;
  /** 'prefill', 'decode'. */
  readonly part?: string;
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
  /** Of `ns`. */
  readonly source: 'measured';
}

export interface Account {
  /** From planning the first step to having the last result, by the host's clock, ns. */
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

/** @param all other passes of the same device whose bounds tell of its clock. */
export function accountOfRun(
  { wallNs, pieces }: ProfiledRun,
  all: Parameters<typeof axisOf>[1] = [],
): Account {
  const axis = axisOf(pieces, all);
  const rows = new Map<string, Draft>();
  const accounts = pieces.map((piece) => accountOf(piece, axis));
  for (const [i, own] of accounts.entries()) {
    const part = pieces[i]?.part;
    for (const row of own.rows) {
      const name = part === undefined ? row.name : `${part}: ${row.name}`;
      const there = rows.get(name);
      if (there === undefined) rows.set(name, { ...row, name, ...(part !== undefined && { part }) });
      else for (const key of ADDED) there[key] += row[key];
    }
  }
  const rest = wallNs - sum([...rows.values()].map(({ ns }) => ns));
  if (Math.abs(rest) > 1) {
    const other = rows.get('other') ?? { ...NOTHING, group: 'other', name: 'other' };
    rows.set('other', { ...other, ns: other.ns + rest });
  }
  return {
    wallNs,
    rows: shared(rows.values(), wallNs),
    ...(axis.offset !== undefined && { offset: axis.offset }),
    voidPasses: sum(accounts.map(({ voidPasses }) => voidPasses)),
  };
}

const ADDED = ['ns', 'calls', 'flop', 'bytes', 'hiddenNs', 'hostSyncs'] as const;
const NOTHING = {
  ...{ ns: 0, share: 0, calls: 0, flop: 0, bytes: 0, hiddenNs: 0, hostSyncs: 0 },
  source: 'measured',
} as const;

function shared(rows: Iterable<Draft>, wallNs: number): AccountRow[] {
  return [...rows].map((row) => ({ ...row, share: wallNs > 0 ? row.ns / wallNs : 0 }));
}

export function accountOf(piece: RunPiece, axis: DeviceAxis = deviceAxis([piece])): Account {
  const { spans, host, hostNs: wallNs, hostSyncs = 1 } = piece;
  const rows = new Map<string, Draft>();
  const row = (group: AccountGroup, name: string): Draft => {
    const there = rows.get(name);
    if (there !== undefined) return there;
    const fresh: Draft = { ...NOTHING, group, name };
    rows.set(name, fresh);
    return fresh;
  };
  const busy = busyTimes(piece, axis);
  const firstNs = busy[0]?.beginNs ?? Infinity;
  const lastNs = busy.at(-1)?.endNs ?? -Infinity;
  const seen = new Set<unknown>();
  for (const span of spans) {
    const { tag } = span;
    const own = row('gpu busy', workOf(piece, span));
    if (piece.staged !== false) own.stage = tag.stage;
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
      row('read-back', busy.length === 0 ? 'device and read-back' : 'read-back').hostSyncs += hostSyncs;
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
  return {
    wallNs,
    rows: shared(rows.values(), wallNs),
    ...(axis.offset !== undefined && { offset: axis.offset }),
    voidPasses: spans.filter(({ ns }) => ns === undefined).length,
  };
}

/** Passes on the host's axis in order, none over another: where two overlap the time is the first's. */
function busyTimes(piece: RunPiece, axis: DeviceAxis): Busy[] {
  const { spans, host } = piece;
  const [beginNs, endNs] = [host[0]?.beginNs ?? 0, host.at(-1)?.endNs ?? 0];
  const all = spans
    .filter(({ ns }) => ns !== undefined)
    .map((span) => ({
      beginNs: onHost(axis, span.beginNs),
      endNs: onHost(axis, span.endNs),
      key: workOf(piece, span),
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

/** Every overflow policy by its definition, in data-parallel rounds with sets: shares no code with `admit`. */
import type { AdmitOptions } from '../../src/routing/admit.ts';
import type { Choices } from '../../src/routing/choices.ts';
import type { ExpertPlacement } from '../../src/routing/placement.ts';

const NONE = 0xffff_ffff;

export interface Expected {
  readonly slots: number[][];
  readonly scores: number[][];
  readonly count: number[];
  readonly dropped: number;
  readonly moved: number;
  readonly lost: number;
}

interface Ask {
  readonly source: number;
  readonly entry: number;
  readonly home: number;
  readonly weight: number;
}

export function expectedAdmission(
  sources: readonly Choices[],
  placement: ExpertPlacement,
  { policy, capacity }: AdmitOptions,
): Expected {
  const K = sources[0]?.topK ?? 1;
  const E = placement.numExperts;
  const replicasOf = (e: number): number[] =>
    placement.expertOfSlot.map((x, slot) => (x === e ? slot : -1)).filter((slot) => slot >= 0);
  const turns = new Map<number, number[]>();
  /** 256 turns that go around the replicas as a round-robin does, since shares are even. */
  const turnsOf = (e: number): number[] => {
    const known = turns.get(e);
    if (known !== undefined) return known;
    const slots = replicasOf(e);
    const got = slots.map(() => 0);
    const list: number[] = [];
    for (let turn = 1; turn <= 256; turn++) {
      const behind = slots.map((_, r) => turn / slots.length - (got[r] ?? 0));
      const next = behind.indexOf(Math.max(...behind));
      got[next] = (got[next] ?? 0) + 1;
      list.push(slots[next] ?? -1);
    }
    turns.set(e, list);
    return list;
  };
  const asks = sources.map(({ ids_TK, scores_TK }, source) => {
    const seen = new Map<number, number>();
    const own: Ask[] = [];
    Array.from(ids_TK).forEach((id, entry) => {
      if (id === NONE) return;
      const i = seen.get(id) ?? 0;
      seen.set(id, i + 1);
      const turn = (i + Math.floor((source * 256) / sources.length)) % 256;
      own.push({ source, entry, home: turnsOf(id)[turn] ?? -1, weight: scores_TK[entry] ?? NaN });
    });
    return own;
  });
  const slots = sources.map(({ ids_TK }) => Array.from(ids_TK, () => NONE));
  const scores = sources.map(({ ids_TK }) => Array.from(ids_TK, () => 0));
  const count = placement.expertOfSlot.map(() => 0);
  let moved = 0;
  const groups = capacity?.scope === 'rank' ? asks.map((_, s) => [s]) : [asks.map((_, s) => s)];
  for (const group of groups) {
    const rows = group.flatMap((s) => asks[s] ?? []);
    const tokens = group.reduce((n, s) => n + (sources[s]?.ids_TK.length ?? 0) / K, 0);
    const offered = count.map((_, slot) => rows.filter((row) => row.home === slot).length);
    const most = limit(
      policy === 'dropless' ? undefined : capacity,
      tokens,
      K,
      count.length,
      Math.max(0, ...offered),
    );
    const taken = count.map(() => 0);
    /** All at once: a slot keeps the first of those who ask, in the given order. Gives those who go away. */
    const decide = (wanted: { row: Ask; slot: number; weight: number }[]): Ask[] => {
      const refused: Ask[] = [];
      const before = [...taken];
      for (const [i, { row, slot, weight }] of wanted.entries()) {
        const ahead = wanted.slice(0, i).filter((other) => other.slot === slot).length;
        if (ahead >= most - (before[slot] ?? 0)) {
          refused.push(row);
          continue;
        }
        taken[slot] = (taken[slot] ?? 0) + 1;
        (slots[row.source] ?? [])[row.entry] = slot;
        (scores[row.source] ?? [])[row.entry] = weight;
        if (slot !== row.home) moved += 1;
      }
      return refused;
    };
    const order =
      policy === 'drop-score'
        ? rows
            .map((row, i) => ({ row, i }))
            .sort((a, b) => b.row.weight - a.row.weight || a.i - b.i)
            .map(({ row }) => row)
        : rows;
    let left = decide(order.map((row) => ({ row, slot: row.home, weight: row.weight })));
    const asked = new Map<string, Set<number>>();
    for (let round = 1; left.length > 0 && (policy === 'spill' || policy === 'next-best'); round++) {
      const wanted: { row: Ask; slot: number; weight: number }[] = [];
      for (const row of left) {
        if (policy === 'spill') {
          const replicas = replicasOf(placement.expertOfSlot[row.home] ?? -1);
          if (round >= replicas.length) continue;
          const slot = replicas[(replicas.indexOf(row.home) + round) % replicas.length] ?? -1;
          wanted.push({ row, slot, weight: row.weight });
          continue;
        }
        const { ids_TK, scores_TK, all_TE } = sources[row.source] as Choices;
        if (all_TE === undefined) continue;
        const token = Math.floor(row.entry / K);
        const key = `${row.source}/${token}`;
        const own = Array.from({ length: K }, (_, k) => token * K + k).filter((i) => ids_TK[i] !== NONE);
        const done = asked.get(key) ?? new Set(own.map((i) => ids_TK[i] ?? -1));
        asked.set(key, done);
        let best = -1;
        for (let e = 0; e < E; e++) {
          if (done.has(e)) continue;
          if (best === -1 || (all_TE[token * E + e] ?? 0) > (all_TE[token * E + best] ?? 0)) best = e;
        }
        if (best === -1) continue;
        done.add(best);
        const weights = own.reduce((n, i) => n + (scores_TK[i] ?? 0), 0);
        const raw = own.reduce((n, i) => n + (all_TE[token * E + (ids_TK[i] ?? 0)] ?? 0), 0);
        const replicas = replicasOf(best);
        const weight = (all_TE[token * E + best] ?? 0) * (raw > 0 ? weights / raw : 0);
        wanted.push({ row, slot: replicas[row.entry % replicas.length] ?? -1, weight });
      }
      left = decide(wanted);
    }
    taken.forEach((n, slot) => (count[slot] = (count[slot] ?? 0) + n));
  }
  const all = asks.flat();
  const kept = slots.flat().filter((slot) => slot !== NONE).length;
  const waits = policy === 'carry' ? all.filter((a) => slots[a.source]?.[a.entry] === NONE) : [];
  const weightOf = (list: readonly Ask[]): number => list.reduce((n, { weight }) => n + weight, 0);
  const lost = weightOf(all) - weightOf(waits) - scores.flat().reduce((a, b) => a + b, 0);
  return { slots, scores, count, dropped: all.length - kept - waits.length, moved, lost };
}

function limit(rule: AdmitOptions['capacity'], T: number, K: number, P: number, fullest: number): number {
  if (rule === undefined) return Infinity;
  const { convention, factor } = rule;
  if (convention === 'megatron') return Math.ceil(((T * K) / P) * factor);
  if (convention === 'switch') return Math.min(T, Math.floor((T * factor) / P));
  const of = (f: number): number => K * Math.floor(f * Math.ceil(T / P));
  if (factor > 0) return of(factor);
  return factor === 0 ? fullest : Math.min(fullest, of(-factor));
}

/** TP and EP groups as the stages see them. */
import { range } from '../core/math.ts';
import type { Layout } from '../layout/layout.ts';

/** The groups of the first stage with ranks numbered within it (replica * ep + e): every stage has the same. */
export function stageGroups(layout: Layout, axis: 'tp' | 'ep'): number[][] {
  const { ep } = layout.spec;
  const local = (rank: number): number => {
    const { replica, ep: e } = layout.coordinates(rank);
    return replica * ep + e;
  };
  const seen = new Set<number>();
  const groups: number[][] = [];
  for (const index of range(layout.ranksPerStage)) {
    if (seen.has(index)) continue;
    const rank = layout.rankAt({ replica: Math.floor(index / ep), stage: 0, ep: index % ep });
    const members = (axis === 'tp' ? layout.tpGroup(rank) : layout.epGroup(rank)).map(local);
    members.forEach((member) => seen.add(member));
    groups.push(members);
  }
  return groups;
}

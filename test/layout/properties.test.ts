import fc from 'fast-check';
import { expect, test } from 'vitest';
import { product, range } from '../../src/core/math.ts';
import { planLayout, type Layout, type Run } from '../../src/layout/layout.ts';
import { readingsOf } from '../../src/layout/readings.ts';
import { plannable, type Plannable } from './support.ts';

const AXES = ['tp', 'attnDp', 'ep', 'edp', 'pp'] as const;

function forEveryLayout(check: (layout: Layout, drawn: Plannable) => void): void {
  fc.assert(
    fc.property(plannable, (drawn) => check(planLayout(drawn.spec, drawn.config), drawn)),
    { numRuns: 60 },
  );
}

function members({ first, count }: Run): number[] {
  return range(count).map((i) => first + i);
}

const ascending = (a: number, b: number): number => a - b;

test('the groups of every axis partition the world', () => {
  forEveryLayout((layout) => {
    for (const axis of AXES) {
      const all = layout.groups(axis).flat().sort(ascending);
      expect(all).toEqual(range(layout.worldSize));
    }
  });
});

test('a rank is in its own group, and its group is the same seen from every member', () => {
  forEveryLayout((layout) => {
    for (const axis of AXES) {
      for (const group of layout.groups(axis)) {
        for (const rank of group) expect(layout.group(rank, axis)).toEqual(group);
      }
    }
  });
});

test('both views multiply to the world, and their group sizes are the factors', () => {
  forEveryLayout((layout, { spec }) => {
    const sizes = Object.fromEntries(AXES.map((axis) => [axis, layout.group(0, axis).length]));
    expect(sizes).toEqual({ tp: spec.tp, attnDp: layout.attnDp, ep: spec.ep, edp: spec.dp, pp: spec.pp });
    const views = readingsOf(spec)[0]?.views;
    expect(product(views?.attention.map((factor) => factor.size) ?? [])).toBe(layout.worldSize);
    expect(product(views?.expert.map((factor) => factor.size) ?? [])).toBe(layout.worldSize);
  });
});

test('the two views agree: tp x attnDp and ep x edp span the same stage', () => {
  forEveryLayout((layout) => {
    for (const rank of range(layout.worldSize)) {
      const attention = layout.attnDpGroup(rank).flatMap(layout.tpGroup).sort(ascending);
      const expert = layout.edpGroup(rank).flatMap(layout.epGroup).sort(ascending);
      expect(attention).toEqual(expert);
      expect(attention).toHaveLength(layout.ranksPerStage);
    }
  });
});

test('coordinates and rankAt undo each other', () => {
  forEveryLayout((layout, { spec }) => {
    for (const rank of range(layout.worldSize)) {
      const where = layout.coordinates(rank);
      expect(layout.rankAt(where)).toBe(rank);
      expect(rank).toBe((where.replica * spec.pp + where.stage) * spec.ep + where.ep);
      expect([where.tp, where.tpGroup]).toEqual([where.ep % spec.tp, Math.floor(where.ep / spec.tp)]);
    }
  });
});

test('every layer, head and expert has exactly one owner', () => {
  forEveryLayout((layout, { spec, config }) => {
    const layers = range(spec.pp).map(layout.layersOf);
    expect(layers.flatMap(members)).toEqual(range(config.numLayers));
    expect(layers.every((run) => run.count >= 1)).toBe(true);
    expect(range(spec.tp).map(layout.headsOf).flatMap(members)).toEqual(range(config.numHeads));
    expect(range(spec.ep).map(layout.expertsOf).flat()).toEqual(range(config.numExperts));
    for (const ep of range(spec.ep)) {
      for (const expert of layout.expertsOf(ep)) expect(layout.ownersOfExpert(expert)).toEqual([ep]);
    }
    for (const stage of range(spec.pp)) {
      for (const layer of members(layout.layersOf(stage))) expect(layout.stageOfLayer(layer)).toBe(stage);
    }
  });
});

test('a rank holds exactly the KV heads that its query heads read', () => {
  forEveryLayout((layout, { spec, config }) => {
    const perKvHead = config.numHeads / config.numKvHeads;
    const holders = range(config.numKvHeads).map(() => 0);
    for (const tp of range(spec.tp)) {
      const read = new Set(members(layout.headsOf(tp)).map((head) => Math.floor(head / perKvHead)));
      const held = members(layout.kvHeadsOf(tp));
      expect(held).toEqual([...read]);
      for (const head of held) holders[head] = (holders[head] ?? 0) + 1;
    }
    const copies = Math.max(1, spec.tp / config.numKvHeads);
    expect(holders.every((count) => count === copies)).toBe(true);
  });
});

test('tokens are covered by a TP group, sequences by all TP groups, each once', () => {
  forEveryLayout((layout, { spec }) => {
    for (const n of [0, 1, 7, 40]) {
      expect(range(spec.tp).flatMap((tp) => members(layout.tokensOf(n, tp)))).toEqual(range(n));
      const dealt = range(spec.dp).flatMap((replica) =>
        range(layout.tpGroupsPerStage).flatMap((group) => layout.sequencesOf(n, replica, group)),
      );
      expect(dealt.sort(ascending)).toEqual(range(n));
    }
  });
});

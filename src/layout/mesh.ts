import { invariant } from '../core/errors.ts';
import { at, product, range } from '../core/math.ts';

/**
 * A grid of ranks with named parts, outermost first, and views that regroup those parts.
 *
 * Two views of one grid are two ways to say what the same ranks do. Example: parts a=2, b=3 number the ranks
 *
 *            b=0 b=1 b=2
 *     a=0     0   1   2        varying b: [0,1,2] and [3,4,5]
 *     a=1     3   4   5        varying a: [0,3], [1,4] and [2,5]
 */
export interface Part<Name extends string> {
  readonly name: Name;
  readonly size: number;
}

export interface Mesh<Name extends string> {
  readonly parts: readonly Part<Name>[];
  /** How many ranks there are: the product of the sizes. */
  readonly size: number;
  coordinates(rank: number): Record<Name, number>;
  rankAt(coordinates: Readonly<Record<Name, number>>): number;
  /** The ranks that differ from `rank` in these parts only, ascending; `rank` is one of them. */
  group(rank: number, varying: readonly Name[]): number[];
  /** Every group of these parts, ordered by first member. */
  groups(varying: readonly Name[]): number[][];
}

/** The axes of one view, each made of parts of the grid. */
export type View<Name extends string> = Readonly<Record<string, readonly Name[]>>;

export function createMesh<Name extends string>(parts: readonly Part<Name>[]): Mesh<Name> {
  const size = product(parts.map((part) => part.size));
  const strides = parts.map((_, i) => product(parts.slice(i + 1).map((part) => part.size)));

  const coordinates = (rank: number): Record<Name, number> => {
    invariant(
      Number.isInteger(rank) && rank >= 0 && rank < size,
      () => `rank ${rank} is not in [0, ${size})`,
    );
    const entries = parts.map((part, i) => [part.name, Math.floor(rank / at(strides, i)) % part.size]);
    return Object.fromEntries(entries) as Record<Name, number>;
  };

  const rankAt = (where: Readonly<Record<Name, number>>): number => {
    let rank = 0;
    parts.forEach((part, i) => {
      const value = where[part.name];
      const inside = Number.isInteger(value) && value >= 0 && value < part.size;
      invariant(inside, () => `${part.name} ${value} is not in [0, ${part.size})`);
      rank += value * at(strides, i);
    });
    return rank;
  };

  const group = (rank: number, varying: readonly Name[]): number[] => {
    const where = coordinates(rank);
    let ranks = [rank];
    parts.forEach((part, i) => {
      if (!varying.includes(part.name)) return;
      const stride = at(strides, i);
      const step = where[part.name] * stride;
      ranks = ranks.flatMap((r) => range(part.size).map((index) => r - step + index * stride));
    });
    return ranks;
  };

  const groups = (varying: readonly Name[]): number[][] => {
    const fixed = parts.map((part) => part.name).filter((name) => !varying.includes(name));
    return group(0, fixed).map((first) => group(first, varying));
  };

  return { parts, size, coordinates, rankAt, group, groups };
}

/**
 * Every view must use each part exactly once, and an axis that several views name must list the same groups
 * in all of them: otherwise two layers of the model would disagree about who talks to whom.
 * @throws InvariantError with the two lists.
 */
export function checkViews<Name extends string>(
  mesh: Mesh<Name>,
  views: Readonly<Record<string, View<Name>>>,
): void {
  const all = mesh.parts.map((part) => part.name).sort();
  const seen = new Map<string, { view: string; groups: string }>();
  for (const [view, axes] of Object.entries(views)) {
    const used = Object.values(axes).flat().sort();
    invariant(
      used.join() === all.join(),
      () => `view ${view} uses the parts ${used.join()}, the grid has ${all.join()}`,
    );
    for (const [axis, varying] of Object.entries(axes)) {
      const groups = JSON.stringify(mesh.groups(varying));
      const other = seen.get(axis);
      invariant(
        other === undefined || other.groups === groups,
        () => `axis ${axis} is ${groups} in view ${view} but ${other?.groups} in view ${other?.view}`,
      );
      seen.set(axis, { view, groups });
    }
  }
}

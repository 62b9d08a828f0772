/** Which cases are run for a shader without a part of it, and in which order. */
import type { By, Run, Use } from './messages.ts';

/** Whose tiles are many where a dispatch does little. */
const HAS_TILES = /^experts\//;

/** The first, the last and those at equal distances between, `count` at most. */
function spread<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return list.filter(
    (_, i) => Math.floor((i * count) / list.length) !== Math.floor(((i - 1) * count) / list.length),
  );
}

/**
 * What compiles the shader. Compiling takes nearly all of the time, so what is compiled alike runs together: for each way the
 * smallest cases and as many of all sizes, where least is compiled first; after all ways their other cases.
 * @param most of a way at first.
 */
export function runsOf(path: string, uses: readonly Use[], most: number): { first: Run[]; rest: Run[] } {
  const ways = new Map<string, Use[]>();
  const sizeOf = ({ shaders }: Use): number => Object.keys(shaders).length;
  const able = uses
    .filter(({ shaders }) => shaders[path] !== undefined)
    .sort((a, b) => sizeOf(a) - sizeOf(b) || a.work - b.work);
  for (const use of able) {
    const way = `${use.kind} ${use.shaders[path] ?? ''}`;
    ways.set(way, [...(ways.get(way) ?? []), use]);
  }
  const whole = (use: Use): Run => ({ use, inPieces: false });
  const cut = (use: Use): Run => ({ use, inPieces: true });
  const first: Run[] = [];
  const rest: Run[] = [];
  for (const own of ways.values()) {
    const half = Math.ceil(most / 2);
    const chosen = [...own.slice(0, half), ...spread(own.slice(half), most - half)];
    first.push(...chosen.map(whole), ...(HAS_TILES.test(path) ? chosen.map(cut) : []));
    rest.push(...own.filter((use) => !chosen.includes(use)).map(whole));
  }
  return { first, rest };
}

/** The run that noticed in an earlier run, where the case and the variant are still there. */
export function runBy(path: string, uses: readonly Use[], by: By | undefined): Run | undefined {
  if (by?.how !== 'case') return undefined;
  const { kind, family, name, variant, inPieces = false } = by;
  const use = uses.find(
    (one) =>
      one.kind === kind &&
      one.family === family &&
      one.name === name &&
      one.variant === variant &&
      one.shaders[path] !== undefined,
  );
  return use && { use, inPieces };
}

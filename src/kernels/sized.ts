/** Kernels whose best variant depends on how many rows there are: of a matrix, or of an expert. */

/** Rows that the kernels for a few, some and many are chosen for. Guesses. */
const FEW_ROWS = 2;
const SOME_ROWS = 8;
const MANY_ROWS = 64;
/** Up to here some, a guess between the two that they are chosen for. */
const MOST_SOME = 12;

export interface Sized<T> {
  readonly one: T;
  readonly few: T;
  readonly some: T;
  readonly many: T;
}

/** @param prepare for about so many rows. */
export async function prepareSized<T>(prepare: (rows: number) => Promise<T>): Promise<Sized<T>> {
  const [one, few, some, many] = await Promise.all([
    prepare(1),
    prepare(FEW_ROWS),
    prepare(SOME_ROWS),
    prepare(MANY_ROWS),
  ]);
  return { one, few, some, many };
}

/** What was prepared for about so many rows. */
export function sizedFor<T>({ one, few, some, many }: Sized<T>, rows: number): T {
  if (rows <= 1) return one;
  if (rows <= FEW_ROWS) return few;
  return rows <= MOST_SOME ? some : many;
}

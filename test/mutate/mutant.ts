/** A fault planted in a copy of the project, to see whether a test fails. */
export interface Fault {
  /** Part of the file's text, found exactly once, and what takes its place. */
  readonly find: string;
  readonly replace: string;
  /** What is wrong with it then, in words. */
  readonly why: string;
  /** Why nobody could tell, where that is so: it counts as survived and is listed with this argument. */
  readonly equivalent?: string;
}

/** What must notice a fault. As narrow as it can be: a run is one process. */
export interface Watch {
  /** Test files below `test/`. */
  readonly tests: readonly string[];
  /** Only tests whose full name matches, as vitest's -t takes it. */
  readonly only?: string;
  /** Of the tests: MOEBIUS_ADAPTER, or the switch that runs all kernels as on a GPU. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Mutant extends Fault, Watch {
  /** Path from the project's root: below `src` or `shaders`. */
  readonly file: string;
}

/** Faults of one file that the same tests must notice. */
export function faultsIn(file: string, watch: Watch, faults: readonly Fault[]): Mutant[] {
  return faults.map((fault) => ({ file, ...watch, ...fault }));
}

/** 'src/measure/statistics.ts: the interval is one rank too narrow' */
export function nameOf({ file, why }: Mutant): string {
  return `${file}: ${why}`;
}

/** How often a mutant's place is in a text: it must be once. */
export function placesIn(text: string, { find }: Fault): number {
  return text.split(find).length - 1;
}

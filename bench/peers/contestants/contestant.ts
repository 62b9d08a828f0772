/** Whoever computes a row: one side of the comparison, with its inputs and weights where it runs. */

/** Elements as plain numbers, by the name that the row gives an output. */
export type Outputs = ReadonlyMap<string, Float64Array>;

export interface Contestant {
  /** What a reader must know of this measurement: that some of it runs on the CPU, say. */
  readonly notes: readonly string[];
  /** Submits one run; it may return before the adapter is done. */
  run(): Promise<void> | void;
  /** Resolves when all that was submitted is done. */
  finish(): Promise<void>;
  /** What the last run gave. */
  outputs(): Promise<Outputs>;
  /** Time of one run by the adapter's own timestamps, ns, where they are to be had. */
  gpuTime?(): Promise<number | undefined>;
  /** Dispatches of one run, where they are known. */
  readonly dispatches?: number;
  destroy(): Promise<void> | void;
}

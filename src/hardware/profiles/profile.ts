/** A GPU and the links around it, by the figures that its maker prints. */
import type { Multiplier } from '../dtypes.ts';

/** One tier of links. */
export interface Tier {
  /** What one GPU can send while it receives as much: 1e9 bytes a second, one direction. */
  readonly gbPerS: number;
  readonly what: string;
}

export interface Profile {
  /** As tables of measurements name it. */
  readonly name: string;
  readonly title: string;
  /** Others, in lower case without separators. */
  readonly spellings: readonly string[];
  /** GPUs of one architecture run the same kernels: what is not measured on one is taken from its relatives. */
  readonly architecture: string;
  /** Dense, 1e12 operations a second; absent where the GPU has no such unit. */
  readonly peakTflops: Readonly<Partial<Record<Multiplier, number>>>;
  /** `gb` as it is printed; `mib` what programs are told that there is (nvidia-smi, rocm-smi), where that is known. */
  readonly memory: { readonly gb: number; readonly gbPerS: number; readonly mib?: number };
  readonly multiprocessors: number;
  readonly watts: number;
  /** GPUs that reach each other without a network, and how. */
  readonly node: Tier & { readonly gpus: number };
  /** From GPU to GPU between nodes. */
  readonly between: Tier;
  readonly source: string;
  /** A user's own figures: nothing was measured on it. */
  readonly own?: boolean;
  /** Shares of the printed peaks that kernels were measured to reach on it, where that is known. */
  readonly reached?: { readonly compute: number; readonly memory: number };
  /** Where the figures were measured and not printed: us of a launch. Such peaks are reached. */
  readonly launchUs?: number;
}

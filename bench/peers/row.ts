/** A row: one computation of one shape, who takes part, and what the project sets itself to reach. */
import type { Gpu } from '../../src/gpu/gpu.ts';
import type { Contestant } from './contestants/contestant.ts';
import { enterMoebius, type OpJob } from './contestants/moebius.ts';
import type { OrtJob, OrtRuntime, Provider } from './contestants/ort.ts';
import { enterTfjs, type Tf, type TfJob } from './contestants/tfjs.ts';
import type { Truth } from './truth.ts';

export interface Host {
  readonly gpu: Gpu;
  readonly ort: OrtRuntime;
  readonly tf: Tf;
}

/** `slow` runs at least `atLeast` times as long as `fast`. */
export interface Goal {
  readonly fast: string;
  readonly slow: string;
  readonly atLeast: number;
}

export interface Entrant {
  readonly name: string;
  readonly ours: boolean;
  /** Error that its number formats explain, as a share of the output's root mean square. */
  readonly tolerance: number;
  readonly enter: (host: Host) => Promise<Contestant>;
}

export interface Setup {
  readonly entrants: readonly Entrant[];
  /** From the float64 reference; called once, before anything is timed. */
  readonly truths: () => readonly Truth[];
}

export interface PeerRow {
  readonly group: string;
  readonly name: string;
  readonly goals: readonly Goal[];
  /** Absent where a rate says nothing. */
  readonly flops?: number;
  /** Most dispatches that ours may take; absent where it is no goal. */
  readonly dispatches?: number;
  /** Makes the inputs, always the same. */
  readonly setup: () => Setup;
}

/** f32 arithmetic in another order, with functions that are less exact than ours must be. */
const F32 = 1e-3;

export const moebius = (name: string, job: () => OpJob): Entrant => ({
  ...{ name, ours: true, tolerance: F32 },
  enter: ({ gpu }) => enterMoebius(gpu, job()),
});

export const ort = (name: string, provider: Provider, job: () => OrtJob, tolerance = F32): Entrant => ({
  ...{ name, ours: false, tolerance },
  enter: (host) => host.ort.enter(provider, job()),
});

export const tfjs = (name: string, job: () => TfJob): Entrant => ({
  ...{ name, ours: false, tolerance: F32 },
  enter: ({ tf }) => enterTfjs(tf, job()),
});

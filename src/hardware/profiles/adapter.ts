/** The adapter of a bench result as a profile: what its probes reached stands in for what a maker prints. */
import { ConfigError } from '../../core/errors.ts';
import type { Profile } from './profile.ts';

/** What is taken from a result. */
export interface AdapterFigures {
  readonly title: string;
  /** The most f32 operations a second of the multiply-add probes. */
  readonly flopPerS: number;
  /** Bytes a second of the read probe with the largest working set. */
  readonly bytesPerS: number;
  /** The least that a dispatch takes. */
  readonly dispatchNs: number;
  /** The result's file. */
  readonly source: string;
}

/** How cases name it. */
export const THIS_ADAPTER = 'this adapter';

/** @throws ConfigError for figures that are not positive. */
export function adapterProfile({ title, flopPerS, bytesPerS, dispatchNs, source }: AdapterFigures): Profile {
  for (const [name, value] of Object.entries({ flopPerS, bytesPerS, dispatchNs })) {
    if (!(value > 0 && Number.isFinite(value)))
      throw new ConfigError(`${source}: ${name} is ${value}; it must be a positive number.`);
  }
  return {
    ...{ name: 'this_adapter', title, spellings: [], architecture: THIS_ADAPTER },
    peakTflops: { bf16: flopPerS / 1e12 },
    memory: { gb: NaN, gbPerS: bytesPerS / 1e9 },
    ...{ multiprocessors: NaN, watts: NaN },
    node: { gpus: 1, gbPerS: bytesPerS / 1e9, what: 'virtual ranks of one device: its memory' },
    between: { gbPerS: bytesPerS / 1e9, what: 'virtual ranks of one device: its memory' },
    source: `${source}: ceilings measured on ${title}`,
    launchUs: dispatchNs / 1e3,
  };
}

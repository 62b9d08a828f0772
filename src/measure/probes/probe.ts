/** A probe: one kernel that does one thing, with a result that is known. */
import type { CommandList } from '../../gpu/command-list.ts';
import type { Gpu } from '../../gpu/gpu.ts';

/** What is measured, and in which unit. */
export const PROBE_UNITS = {
  'f32 multiply-add': 'FLOP/s',
  'f16 multiply-add': 'FLOP/s',
  'storage read': 'B/s',
  'storage copy': 'B/s',
  'storage loads': 'loads/s',
  'loads of one lane': 'loads/s',
  'workgroup memory': 'B/s',
  'subgroup broadcast': 'lanes/s',
} as const;

export type ProbeName = keyof typeof PROBE_UNITS;

export const PROBE_NAMES = Object.keys(PROBE_UNITS) as ProbeName[];

/** A probe that may be run. Several of one name and footprint are forms of the same: the fastest counts. */
export interface Probe {
  readonly name: ProbeName;
  /** Bytes that it works on again and again; absent where memory plays no part. */
  readonly footprintBytes?: number;
  /** How it is written where there is more than one way: 'fma(), 8 chains'. */
  readonly form?: string;
  /** Features without which it cannot run. */
  readonly features?: readonly GPUFeatureName[];
  prepare(gpu: Gpu): Promise<PreparedProbe>;
}

export interface PreparedProbe {
  /** FLOP, bytes, loads or lanes of one run. */
  readonly work: number;
  record(commands: CommandList): void;
  /** Reads what a run has left and compares. @returns what is wrong; undefined when all is as it should be. */
  verify(): Promise<string | undefined>;
  destroy(): void;
}

/** How much a dispatch does: enough to weigh more than its launch, far less than a watchdog allows. */
export interface ProbeScale {
  /** Lanes that keep every core or multiprocessor busy. */
  readonly lanes: number;
  /** Lanes per workgroup where they share nothing. */
  readonly width: number;
  /** Lanes per workgroup where neighbours read neighbours: on a CPU one subgroup, so that it reads straight on. */
  readonly rowWidth: number;
  readonly fmaSteps: number;
  /** vec4 that a lane reads or copies per dispatch. */
  readonly perLane: number;
  /** Least bytes that a reading dispatch moves: small working sets are read several times over. */
  readonly readBytes: number;
  /** Working sets from the innermost cache to main memory, ascending powers of two. */
  readonly footprints: readonly number[];
  /** Loads of a lane in chains and from workgroup memory. */
  readonly loads: number;
  /** Loads of a single lane's chain. */
  readonly chainLoads: number;
}

const KIB = 2 ** 10;
const MIB = 2 ** 20;

export function probeScale(gpu: Gpu): ProbeScale {
  const most = Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize);
  const fitting = (sizes: readonly number[]): number[] => sizes.filter((size) => size <= most);
  if (gpu.facts.kind === 'gpu') {
    return {
      ...{ lanes: 2 ** 19, width: 128, rowWidth: 256, fmaSteps: 512, perLane: 32, readBytes: 2 ** 30 },
      ...{ loads: 256, chainLoads: 2 ** 15 },
      footprints: fitting([16 * KIB, 256 * KIB, 4 * MIB, 64 * MIB, 512 * MIB]),
    };
  }
  return {
    ...{ lanes: 2048, width: 64, rowWidth: gpu.rowLanes, fmaSteps: 1024, perLane: 256, readBytes: 4 * MIB },
    ...{ loads: 512, chainLoads: 2 ** 16 },
    footprints: fitting([16 * KIB, 256 * KIB, 4 * MIB, 64 * MIB]),
  };
}

/** The first index where both differ, in words. @param every looks at each `every`th only, and at the last. */
export function firstDifference(
  got: ArrayLike<number>,
  want: (index: number) => number,
  every = 1,
): string | undefined {
  const last = got.length - 1;
  for (let i = 0; i <= last; i = i < last && i + every > last ? last : i + every) {
    const expected = want(i);
    if (got[i] !== expected) return `element ${i} is ${got[i]}, not ${expected}`;
  }
  return undefined;
}

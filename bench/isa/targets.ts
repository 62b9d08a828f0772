/** GPUs that Mesa compiles for without their hardware, and how its driver is made to believe in one. */

/** What a target's share of its peak is modelled by: see `model.ts`. */
export interface Machine {
  /** SIMDs (NVIDIA: quarters of an SM) that share workgroup storage and a first-level cache. */
  readonly simds: number;
  /** Lanes of one vector instruction that a SIMD issues per cycle. */
  readonly lanes: number;
  /** f32 multiply-adds that a SIMD does per cycle at its best. */
  readonly peak: number;
  /** Bytes per cycle of workgroup storage, and of the first-level cache. */
  readonly storageBytes: number;
  readonly cacheBytes: number;
  /** Multiply-adds of a wave of 64 may take one pass. */
  readonly dual?: boolean;
}

export interface Target {
  readonly name: string;
  /** What it stands for. */
  readonly gpu: string;
  /** Part of the adapter's name. */
  readonly adapter: string;
  /** With neither spills nor scratch, or the check fails: `exceptions.ts` names what is excepted elsewhere. */
  readonly strict: boolean;
  readonly machine?: Machine;
  /** RADV's null device, which this machine's Mesa 25 or older has. */
  readonly family?: string;
  /** A driver of the newer Mesa, on a render node that is not there. */
  readonly node?: {
    readonly icd: string;
    readonly driver: 'nouveau' | 'i915' | 'asahi';
    readonly chip: string;
    readonly vendor: string;
    readonly device: string;
    /** Memory of its own. */
    readonly local?: boolean;
  };
}

const RDNA: Machine = { simds: 2, lanes: 32, peak: 32, storageBytes: 128, cacheBytes: 128 };
const SM: Machine = { simds: 4, lanes: 32, peak: 32, storageBytes: 128, cacheBytes: 128 };

const amd = (family: string, gpu: string, machine: Machine): Target => ({
  ...{ name: family, gpu, adapter: 'RADV', strict: true, machine, family },
});
const nvidia = (name: string, gpu: string, chip: string, device: string): Target => ({
  ...{ name, gpu, adapter: 'NVIDIA', strict: true, machine: SM },
  node: { icd: 'nouveau', driver: 'nouveau', chip, vendor: '10de', device },
});
const intel = (name: string, gpu: string, device: string, local: boolean): Target => ({
  ...{ name, gpu, adapter: 'Intel', strict: false },
  node: { icd: 'intel', driver: 'i915', chip: device, vendor: '8086', device, local },
});

export const TARGETS: readonly Target[] = [
  amd('navi31', 'Radeon RX 7900 (RDNA3)', { ...RDNA, peak: 64, dual: true }),
  amd('navi21', 'Radeon RX 6800 (RDNA2)', RDNA),
  nvidia('ampere', 'GeForce RTX 3090', '172', '2204'),
  nvidia('ada', 'GeForce RTX 4090', '192', '2684'),
  nvidia('blackwell', 'GeForce RTX 5090', '1b2', '2b85'),
  intel('iris-xe', 'Iris Xe (Tiger Lake)', '9a49', false),
  intel('arc', 'Arc A770', '56a0', true),
  {
    ...{ name: 'm1', gpu: 'Apple M1', adapter: 'Apple', strict: false },
    node: { icd: 'asahi', driver: 'asahi', chip: 'd00', vendor: '106b', device: '0001' },
  },
];

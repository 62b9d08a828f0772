/** What else kept the machine busy during a run, as far as the platform tells. */
import type { CpuTimes } from '../platform/platform.ts';

export interface MachineLoad {
  readonly cores: number;
  /** Of all cores' time, what other processes took. */
  readonly othersShare: number;
  /** Of all cores' time, what other virtual machines took. Null where the system does not tell. */
  readonly stealShare: number | null;
  /**
   * Processes that ran or waited to run, over 1, 5 and 15 minutes, before the run and at its end: the first is others'.
   * Absent where the system does not tell, and in files of before 0.5.0.
   */
  readonly average?: { readonly before: readonly number[]; readonly after: readonly number[] };
}

/** Others may take so much before the run says so. A guess, as is the next: of a virtual machine whose cores others use. */
export const OTHERS_LIMIT = 0.1;
export const STEAL_LIMIT = 0.02;

/** Between two readings; null when the platform does not tell or no time has passed. */
export function loadBetween(a: CpuTimes | undefined, b: CpuTimes | undefined): MachineLoad | null {
  if (a === undefined || b === undefined) return null;
  const total = b.totalNs - a.totalNs;
  if (!(total > 0)) return null;
  const others = b.busyNs - a.busyNs - (b.ownNs - a.ownNs);
  const share = (ns: number): number => Math.min(1, Math.max(0, ns / total));
  return {
    cores: b.cores,
    othersShare: share(others),
    stealShare: a.stealNs === undefined || b.stealNs === undefined ? null : share(b.stealNs - a.stealNs),
    ...(a.loadAverage && b.loadAverage && { average: { before: a.loadAverage, after: b.loadAverage } }),
  };
}

export function isBusy({ othersShare, stealShare }: MachineLoad): boolean {
  return othersShare > OTHERS_LIMIT || (stealShare ?? 0) > STEAL_LIMIT;
}

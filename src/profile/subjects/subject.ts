/** What is profiled: something that can be run again and again, with instruments and without. */
import type { TimingDetail } from '../../gpu/command-list.ts';
import type { ExpertRows } from '../../runtime/step/trace.ts';
import type { ProfiledRun } from '../run.ts';

export interface Subject {
  /**
   * Every run does the same, but for `apart`: see `StepOptions.apart`. With `none` there are no passes in it.
   * @throws DeviceError when the device fails.
   */
  run(timing: TimingDetail, apart?: boolean): Promise<ProfiledRun>;
  /** Rows of the experts by rank, for each piece of a run; none where there are no experts. */
  expertRows?(): Promise<readonly (readonly ExpertRows[])[]>;
}

/** What the adapter can do at most, and what its smallest steps cost: as `moebius doctor`. */
import { measureCeilings } from '../../../bench/ceilings/ceilings.ts';
import { examineAdapter } from '../../../bench/examine.ts';
import { NS_PER_S } from '../../../core/units.ts';
import { chooseClock } from '../../../measure/stopwatch.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';

export async function doctorJob(
  { seconds }: JobOf<'doctor'>,
  { openGpu, steps }: JobContext,
): Promise<OutcomeOf<'doctor'>> {
  const gpu = await openGpu();
  const found = await steps.step('Examine the adapter', () => examineAdapter(gpu));
  const clock = await chooseClock(gpu);
  const ceilings = await steps.step('Measure the ceilings of the adapter', (say) =>
    measureCeilings(gpu, { clock, budgetNs: seconds * NS_PER_S, say }),
  );
  return {
    kind: 'doctor',
    ...{ readbackNs: found.readbackNs.median, dispatchNs: found.dispatchFloorNs.median },
    ...{ indirectNs: found.indirectFloorNs.median, hostStepNs: found.hostClockStepNs },
    ceilings: ceilings.map((ceiling) => ({
      ...{ name: ceiling.name, state: ceiling.state },
      ...(ceiling.footprintBytes !== undefined && { footprintBytes: ceiling.footprintBytes }),
      ...(ceiling.state === 'measured'
        ? {
            value: ceiling.value,
            unit: ceiling.unit,
            ...(ceiling.form !== undefined && { form: ceiling.form }),
          }
        : { reason: ceiling.reason }),
    })),
  };
}

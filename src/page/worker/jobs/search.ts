/** Every layout of so many GPUs, simulated one after the other: as `moebius search`. No adapter takes part. */
import { breathe, throwIfCancelled } from '../../../core/async/cancel.ts';
import { hardwareNamed } from '../../../hardware/profiles/named.ts';
import { modelNamed } from '../../../planner/models/named.ts';
import { searchOf } from '../../../planner/search/asked.ts';
import { evaluate, type Outcome } from '../../../planner/search/evaluate.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf, Progress } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';

/** What was found so far is told so often, ms: each time all of it is compared. A guess. */
const TELL_MS = 1500;

export async function searchJob(
  job: JobOf<'search'>,
  { steps, tell, signal }: JobContext,
): Promise<OutcomeOf<'search'>> {
  const { model, hardware, gpus, layout, ttft, tpot, isl, osl, concurrency } = job;
  const { setting, plan, report } = searchOf({
    ...{ model: modelNamed(model), hardware: hardwareNamed(hardware), gpus, isl, osl },
    ...(layout !== '' && { layout }),
    ...(ttft > 0 && { ttft }),
    ...(tpot > 0 && { tpot }),
    ...(concurrency > 0 && { concurrency }),
  });
  const outcomes = new Map<number, Outcome>();
  const found = (interrupted: boolean) =>
    // Plain data, whose lists the message takes over.
    report(outcomes, interrupted) as unknown as NonNullable<Progress['layouts']>;
  await steps.step('Simulate layouts', async (say) => {
    let told = performance.now();
    for (const [i, { placement }] of plan.candidates.entries()) {
      outcomes.set(i, evaluate(placement, setting));
      say(`${i + 1} of ${plan.candidates.length}`);
      if (performance.now() - told > TELL_MS) {
        tell({ layouts: found(true) });
        told = performance.now();
      }
      await breathe();
      throwIfCancelled(signal);
    }
  });
  return { kind: 'search', layouts: found(false) };
}

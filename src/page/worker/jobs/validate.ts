/** The correctness suite, as `moebius validate` runs it: kernels against float64, then the model on all ranks of a layout. */
import { validate } from '../../../bench/validate.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';
import { bundledModel } from '../models.ts';

export async function validateJob(
  { quick, family, layout }: JobOf<'validate'>,
  context: JobContext,
): Promise<OutcomeOf<'validate'>> {
  const { steps, tell, base } = context;
  const model =
    family === undefined ? await steps.step('Fetch the model', (say) => bundledModel(base, say)) : undefined;
  const found = await validate(await context.openGpu(), {
    ...{ quick, layout, progress: steps },
    ...(family !== undefined && { family }),
    ...(model !== undefined && { model }),
    live: {
      checked: ({ family: of, name, variant, pass, worstShare, message }) =>
        tell({ cases: [{ family: of, name, variant, pass, worstShare, message }] }),
    },
  });
  const report = found.model;
  return {
    kind: 'validate',
    model: report && { ...report, checks: report.checks.map((check) => ({ ...check })) },
  };
}

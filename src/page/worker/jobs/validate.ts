/** The correctness suite: every kernel against float64, then the model on all ranks of a layout. */
import { checkKernels } from '../../../bench/kernels/check.ts';
import { requireFamily } from '../../../bench/kernels/select.ts';
import { checkModelAfter } from '../../../bench/model/check.ts';
import { hasPassed, MODEL_SIZES } from '../../../bench/validate.ts';
import { planLayout } from '../../../layout/layout.ts';
import { formatLayout, parseLayout } from '../../../layout/spec.ts';
import { kernelCases } from '../../../validate/cases.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';
import { bundledModel } from '../models.ts';

export async function validateJob(
  { quick, families, layout: text }: JobOf<'validate'>,
  context: JobContext,
): Promise<OutcomeOf<'validate'>> {
  const { steps, tell, base } = context;
  families.forEach(requireFamily);
  const layout = parseLayout(text);
  const cases = kernelCases.filter(
    (one) => (!quick || one.quick) && (families.length === 0 || families.includes(one.family)),
  );
  const withModel = families.length === 0;
  const bundled = withModel
    ? await steps.step('Fetch the model', (say) => bundledModel(base, say))
    : undefined;
  if (bundled) planLayout(layout, bundled.model.config);
  const gpu = await context.openGpu();
  const checked = await steps.step(
    'Check kernels against float64',
    (say) =>
      checkKernels(gpu, cases, {
        say,
        onResult: ({ family, name, variant, pass, worstShare, message }) =>
          tell({ cases: [{ family, name, variant, pass, worstShare, message }] }),
      }),
    ({ families: found }) => (hasPassed(found, null) ? 'all pass' : 'FAILED'),
  );
  if (bundled === undefined) return { kind: 'validate', model: null };
  const { model, answers } = bundled;
  const report = await steps.step(
    `Check ${model.config.name} on the ranks of ${formatLayout(layout)}`,
    (say) =>
      checkModelAfter(hasPassed(checked.families, null), gpu, model, {
        ...{ layout, answers, say },
        ...MODEL_SIZES[quick ? 'quick' : 'full'],
      }),
    ({ pass, checks }) => (pass ? `${checks.length} checks pass` : 'FAILED'),
  );
  return { kind: 'validate', model: { ...report, checks: report.checks.map((check) => ({ ...check })) } };
}

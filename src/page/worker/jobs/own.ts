/** A kernel of the user's own: compiled, held against float64 on its family's cases, then timed beside ours. */
import type { Gpu } from '../../../gpu/gpu.ts';
import { describedVariant } from '../../../kernels/registered/described.ts';
import { registerVariant } from '../../../kernels/registered/register.ts';
import { CARD_LAYOUT, formatLayout } from '../../../layout/spec.ts';
import { checkKernels } from '../../../bench/kernels/check.ts';
import { kernelCases } from '../../../validate/cases.ts';
import { familiesOf } from '../../../validate/registered.ts';
import type { JobOf } from '../../protocol/jobs.ts';
import type { OutcomeOf } from '../../protocol/reports.ts';
import type { JobContext } from '../context.ts';
import { benchFile } from './bench.ts';

export async function ownJob(
  { definition, shader, seconds }: JobOf<'own'>,
  context: JobContext,
): Promise<OutcomeOf<'own'>> {
  const variant = describedVariant(definition, shader);
  const gpu = await context.openGpu();
  const errors = await context.steps.step('Compile', () => errorsOf(gpu, shader));
  if (errors.length > 0) return { kind: 'own', errors, registered: null, file: null };
  await registerVariant(gpu, variant);
  const families = familiesOf([variant]);
  const cases = kernelCases.filter(({ family }) => families.includes(family));
  const checked = await context.steps.step('Hold yours against float64 on every case of its family', (say) =>
    checkKernels(gpu, cases, {
      ...{ registeredOnly: true, say },
      onResult: ({ family, name, variant: of, pass, worstShare, message }) =>
        context.tell({ cases: [{ family, name, variant: of, pass, worstShare, message }] }),
    }),
  );
  const [found] = checked.registered;
  const registered =
    found === undefined ? null : { ...found, races: found.races.map((race) => ({ ...race })) };
  if (found?.pass !== true) return { kind: 'own', errors, registered, file: null };
  const asked = { layout: formatLayout(CARD_LAYOUT), seconds, withModel: false, families, kernels: [] };
  return { kind: 'own', errors, registered, file: await benchFile(gpu, asked, context) };
}

/** As written, before anything is compiled in. Features that a shader enables and the device lacks are such errors. */
async function errorsOf({ device }: Gpu, code: string): Promise<OutcomeOf<'own'>['errors']> {
  device.pushErrorScope('validation');
  const { messages } = await device.createShaderModule({ label: 'own kernel', code }).getCompilationInfo();
  await device.popErrorScope();
  const lines = code.split('\n');
  return messages
    .filter(({ type }) => type === 'error')
    .map(({ lineNum, linePos, message }) => ({
      ...{ line: lineNum, column: linePos, message },
      source: (lines[lineNum - 1] ?? '').slice(0, 200),
    }));
}

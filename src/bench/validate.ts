/** Is every kernel right on this device, and the model on all ranks of a layout? The same in Node and in a page. */
import { messageOf } from '../core/errors.ts';
import { requireGpu, requireOptions, type Fields } from '../core/given.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { CARD_LAYOUT, formatLayout, parseLayout } from '../layout/spec.ts';
import { planLayout } from '../layout/layout.ts';
import type { AdapterFacts } from '../platform/platform.ts';
import { casesOf, kernelCases } from '../validate/cases.ts';
import type { FuzzReport } from '../validate/draw/fuzz.ts';
import type { RegisteredFacts } from '../validate/registered.ts';
import { checkKernels, type FamilyReport, type KernelChecks } from './kernels/check.ts';
import { requireFamily } from './kernels/select.ts';
import type { BenchLive } from './live.ts';
import type { BenchModel } from './model/bench-model.ts';
import { checkModelAfter, type ModelReport } from './model/check.ts';
import { SILENT, type Interruption, type Progress } from './progress.ts';

/** What `validate` takes of a device; everything may be left out. */
export interface ValidateInputs {
  /** A subset, within seconds. */
  readonly quick?: boolean;
  /** Only the kernels of one family, without the model. */
  readonly family?: string;
  /** Only variants that were registered on this device, without the model. */
  readonly registeredOnly?: boolean;
  /** Checked on all ranks of the layout as well; see `loadBenchModel`. */
  readonly model?: BenchModel;
  /** The reference deployment's when absent. */
  readonly layout?: string;
  readonly progress?: Progress;
  /** Told of each run of a kernel as it ends. */
  readonly live?: Pick<BenchLive, 'checked'>;
  /** Calls the run off. */
  readonly signal?: AbortSignal;
  /**
   * Called after each run of a kernel, and before it is rejected. What it is given makes a result, marked as
   * interrupted, of all there is by then.
   */
  readonly onResult?: (soFar: () => ValidateResult) => void;
}

/** What was checked, family by family and of the model; `pass` is true when nothing failed. */
export interface ValidateResult {
  readonly pass: boolean;
  readonly adapter: AdapterFacts;
  readonly quick: boolean;
  readonly families: readonly FamilyReport[];
  /** The user's own variants, when modules of them were given: then only these were checked. */
  readonly registered?: readonly RegisteredFacts[];
  /** Null when only one family, or random cases, were asked for. */
  readonly model: ModelReport | null;
  /** One report per op; absent unless random cases were asked for. */
  readonly fuzz?: readonly FuzzReport[];
  /** The run was cut short: what is missing was not checked, and `pass` is false. Absent from a whole result. */
  readonly interrupted?: Interruption;
}

/** How much of the model is checked, quick and in full. Guesses. */
export const MODEL_SIZES = {
  quick: { prompts: 1, tokens: 20, windows: 1 },
  full: { prompts: 2, tokens: 100, windows: 8 },
} as const;

const OPTIONS: Fields = {
  quick: 'flag?',
  family: 'string?',
  registeredOnly: 'flag?',
  model: 'record?',
  layout: 'string?',
  progress: 'record?',
  live: 'record?',
  signal: 'signal?',
  onResult: 'function?',
};

/** @param model null when it was not asked for. */
export function hasPassed(
  families: readonly Pick<FamilyReport, 'failed'>[],
  model: Pick<ModelReport, 'pass'> | null,
): boolean {
  return families.every(({ failed }) => failed === 0) && (model === null || model.pass);
}

/**
 * Every variant of every kernel against float64, then the model on all ranks against one rank and known answers. The
 * result passes or not: see its `pass`.
 * @throws ConfigError for an unknown family or layout.
 * @throws CancelledError when it was called off. @throws DeviceError when the device fails or is lost.
 */
export async function validate(device: Gpu, inputs: ValidateInputs = {}): Promise<ValidateResult> {
  requireGpu(device);
  requireOptions('validate', inputs, OPTIONS);
  const { quick = false, family, registeredOnly = false, progress = SILENT, live = {}, onResult } = inputs;
  if (family !== undefined) requireFamily(family);
  const layout = parseLayout(inputs.layout ?? formatLayout(CARD_LAYOUT));
  const model = family === undefined && !registeredOnly ? inputs.model : undefined;
  if (model !== undefined) planLayout(layout, model.model.config);
  const gpu = device.under(inputs.signal);
  const all = family === undefined ? kernelCases : casesOf(family);
  const cases = quick ? all.filter((one) => one.quick) : all;

  let checked: KernelChecks = { families: [], notRun: 0, registered: [] };
  let report: ModelReport | null = null;
  let during = '';
  const resultOf = (interrupted?: Interruption): ValidateResult => ({
    pass: interrupted === undefined && hasPassed(checked.families, report),
    ...{ adapter: gpu.facts, quick, families: checked.families, model: report },
    ...(registeredOnly && { registered: checked.registered }),
    ...(interrupted && { interrupted }),
  });
  const tell = (reason: string): void => onResult?.(() => resultOf({ during, reason }));
  const step: Progress['step'] = (title, work, outcome) => {
    during = title;
    return progress.step(title, work, outcome);
  };
  try {
    const onRun = (soFar: KernelChecks): void => {
      checked = soFar;
      tell('it has not ended');
    };
    checked = await step(
      `Check kernels${registeredOnly ? ' of your own' : ''} against float64 on ${gpu.facts.name}`,
      (say) =>
        checkKernels(gpu, cases, {
          ...{ registeredOnly, say, onRun },
          onResult: (result) => live.checked?.(result),
        }),
      ({ families, registered }) =>
        hasPassed(families, null) && registered.every(({ pass }) => pass) ? 'all pass' : 'FAILED',
    );
    if (model !== undefined) {
      const { config } = model.model;
      const sizes = { layout, answers: model.answers, ...(quick ? MODEL_SIZES.quick : MODEL_SIZES.full) };
      report = await step(
        `Check ${config.name} on the ranks of ${formatLayout(layout)}`,
        (say) => checkModelAfter(hasPassed(checked.families, null), gpu, model.model, { ...sizes, say }),
        ({ pass, checks }) => (pass ? `${checks.length} checks pass` : 'FAILED'),
      );
    }
  } catch (error) {
    tell(messageOf(error));
    throw error;
  }
  return resultOf();
}

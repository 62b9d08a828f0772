/** The whole bench in order: check, then time, then say what it amounts to. */
import { CheckError, messageOf } from '../core/errors.ts';
import { requireFields, requireGpu, type Fields } from '../core/given.ts';
import { formatNumber, formatSi, NS_PER_S } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { CARD_LAYOUT, formatLayout, type LayoutSpec } from '../layout/spec.ts';
import type { CacheSize } from '../measure/cold.ts';
import { chooseClock } from '../measure/stopwatch.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { kernelCases, quickCases } from '../validate/cases.ts';
import { resultOf, type Findings } from './assemble.ts';
import { anyAboveRoof, ceilingFailures } from './ceilings/above-roof.ts';
import { bestOf, measureCeilings, type Ceilings } from './ceilings/ceilings.ts';
import { bandwidthFor, peakFlopsPerSecond } from './ceilings/roofline.ts';
import { examineAdapter } from './examine.ts';
import { timeHostTasks } from './host-tasks.ts';
import { checkKernels, type KernelChecks } from './kernels/check.ts';
import { compileTaken, compileVariants } from './kernels/compile.ts';
import { rowsOf, type Selection } from './kernels/select.ts';
import { timeKernels, type KernelTimings } from './kernels/suite.ts';
import type { BenchLive } from './live.ts';
import { CARD_RATE, measureCardRate } from './model/card-rate.ts';
import { checkModelAfter } from './model/check.ts';
import { SHORT_SERIES } from './model/growth-series.ts';
import { measureGrowth } from './model/growth.ts';
import type { KnownAnswers } from './model/known-answers.ts';
import { type BenchRouting, compareForward } from './model/sharded.ts';
import { SILENT, type Progress } from './progress.ts';
import type { BenchResult, BenchTuning } from './result.ts';
import { FORWARD_SHARE, GROWTH_SHARE, KERNEL_SHARE, SECONDS, SIZES, type BenchSizes } from './sizes.ts';
import { failuresOf, unmeasured } from './verdict.ts';

/** What `runBench` takes: a model, as `loadBenchModel` gives it, and what may be left out. */
export interface BenchInputs {
  readonly model: Checkpoint;
  readonly answers: KnownAnswers;
  /** Bytes of the model's safetensors file, for the host's tasks. */
  readonly checkpoint: Uint8Array;
  /** The reference deployment's when absent. */
  readonly layout?: LayoutSpec;
  /** What is taken by default, at fewer sizes: a minute or so. */
  readonly quick?: boolean;
  /** Host time to measure for; compiling and checks come on top. 90, quick 35 when absent. */
  readonly seconds?: number;
  /** For the result: the platform's own when absent. */
  readonly versions?: Readonly<Record<string, string>>;
  /** For the result: of the checkout. */
  readonly commit?: string | null;
  readonly progress?: Progress;
  /** Only some kernels; all when absent. */
  readonly only?: Selection;
  /** False: neither the model nor what is timed with it. */
  readonly withModel?: boolean;
  readonly sizes?: BenchSizes;
  /** What the front end says of the device's tuning. */
  readonly tuning?: BenchTuning;
  /** Times kernels on inputs that this cache does not hold. */
  readonly cold?: CacheSize;
  /** Told of the parts as they are found. */
  readonly live?: BenchLive;
  /** What the ranks route by: the check has its placement only, the timed passes all of it. */
  readonly routing?: BenchRouting;
  /** Calls the run off. */
  readonly signal?: AbortSignal;
  /**
   * Called whenever there is more than before: of the kernels after each run and round, and before it is rejected.
   * What it is given makes a result, marked as interrupted, of all there is by then.
   */
  readonly onResult?: (soFar: () => BenchResult) => void;
}

const INPUTS: Fields = {
  ...{ model: 'record', answers: 'record', checkpoint: 'list', layout: 'record?', quick: 'flag?' },
  ...{
    routing: 'record?',
    seconds: 'number?',
    progress: 'record?',
    live: 'record?',
    signal: 'signal?',
    onResult: 'function?',
  },
};

/**
 * The whole measurement. Before it is rejected, for whatever reason, `onResult` is told what there was by then.
 * @throws ConfigError for a selection of kernels that there are not.
 * @throws CancelledError when it was called off. @throws DeviceError when the device fails or is lost.
 */
export async function runBench(device: Gpu, inputs: BenchInputs): Promise<BenchResult> {
  requireGpu(device);
  requireFields('The bench', inputs, INPUTS);
  const { quick = false, layout = CARD_LAYOUT, model, progress = SILENT, onResult } = inputs;
  const gpu = device.under(inputs.signal);
  const versions = inputs.versions ?? gpu.platform.versions?.() ?? {};
  const found: Findings = {
    ...{ quick, layout, model, versions, commit: inputs.commit ?? null },
    ...{ cold: inputs.cold ?? null, tuning: inputs.tuning ?? null },
    ...{ startNs: gpu.platform.now(), cpuBefore: gpu.platform.cpuTimes?.() },
  };
  let during = '';
  const tell = (reason: string): void => {
    if (found.clock !== undefined) onResult?.(() => resultOf(gpu, found, { during, reason }));
  };
  const told: Progress = {
    step: async (title, work, outcome) => {
      during = title;
      return progress.step(title, work, outcome);
    },
  };
  try {
    await measureAll(gpu, inputs, found, told, () => tell('it has not ended'));
  } catch (error) {
    tell(messageOf(error));
    throw error;
  }
  return resultOf(gpu, found);
}

/** Step by step into `found`; `tell` is called when there is more than before. */
async function measureAll(
  gpu: Gpu,
  inputs: BenchInputs,
  found: Findings,
  progress: Progress,
  tell: () => void,
): Promise<void> {
  const { model, answers, only = {}, withModel = true, live = {} } = inputs;
  const { quick, layout } = found;
  const { seconds = quick ? SECONDS.quick : SECONDS.full } = inputs;
  const now = (): number => gpu.platform.now();
  const start = found.startNs;
  const sizes = inputs.sizes ?? (quick ? SIZES.quick : SIZES.full);
  const measuringNs = seconds * NS_PER_S;
  const rows = rowsOf(gpu, quick, only);

  found.adapter = await progress.step(
    'Examine the adapter',
    () => examineAdapter(gpu),
    () => gpu.facts.name,
  );
  const clock = await chooseClock(gpu);
  live.adapter?.(found.adapter, clock);
  found.clock = clock;
  tell();
  const probe = (step: string): Promise<Ceilings> =>
    progress.step(
      step,
      (say) => measureCeilings(gpu, { clock, budgetNs: Math.min(sizes.ceilingNs, measuringNs / 4), say }),
      (ceilings) => {
        const failed = ceilingFailures(ceilings).length;
        return failed === 0 ? peakText(ceilings) : `${failed} probes FAILED`;
      },
    );
  found.ceilings = await probe('Measure the ceilings of the adapter');
  live.ceilings?.(found.ceilings);
  tell();
  const onRun = (soFar: KernelChecks): void => {
    found.checked = soFar;
    tell();
  };
  found.checked = await progress.step(
    'Check kernels against float64',
    (say) =>
      checkKernels(gpu, (quick ? quickCases : kernelCases).filter(rows.isFamily), {
        ...{ chosenOnly: quick && !rows.namesVariants, othersEndNs: start + sizes.otherChecksEndNs, say },
        ...{ onRun, onResult: (result) => live.checked?.(result) },
      }),
    ({ families, notRun }) => {
      const [runs, failed] = [count(families, 'runs'), count(families, 'failed')];
      const told = failed === 0 ? `${runs} runs, all pass` : `${failed} of ${runs} runs FAILED`;
      return notRun === 0 ? told : `${told}; NOT CHECKED for want of time: ${notRun} of other variants`;
    },
  );
  const kernelsPass = count(found.checked.families, 'failed') === 0;
  const { placement, shares } = inputs.routing?.sizing ?? {};
  const placed = { ...(placement && { placement }), ...(shares && { shares }) };
  found.modelReport = withModel
    ? await progress.step(
        `Check ${model.config.name} on the ranks of ${formatLayout(layout)}`,
        (say) => checkModelAfter(kernelsPass, gpu, model, { layout, placed, answers, ...sizes, say }),
        ({ pass, checks }) => (pass ? `${checks.length} checks pass` : 'FAILED'),
      )
    : null;
  if (found.modelReport !== null) live.model?.(found.modelReport);
  tell();
  found.forward = found.modelReport?.pass
    ? await progress.step(
        `Time the forward pass of ${sizes.sequences} x ${sizes.tokensPerSequence} tokens`,
        (say) =>
          compareForward(gpu, model, {
            ...{
              layout,
              routing: inputs.routing,
              ...sizes,
              say,
              minSamples: sizes.passes,
              maxSamples: 2 * sizes.passes,
            },
            ids: model.tokenizer?.encode(answers.validText) ?? [],
            budgetNs: FORWARD_SHARE * measuringNs,
            onRouted: (first) => live.routed?.(first),
          }),
        ({ ratio }) => (ratio === undefined ? 'FAILED' : `sharded / unsharded ${formatNumber(ratio.median)}`),
      )
    : null;
  if (found.forward !== null) live.forward?.(found.forward);
  tell();
  const othersEndNs = start + sizes.otherRowsEndNs;
  const chosenOnly = quick && !rows.namesVariants;
  await progress.step('Compile kernels', async (say) => {
    await compileTaken(gpu, rows.cases, say);
    for (const one of chosenOnly ? [] : rows.cases) {
      const variants = one.variants(gpu).filter((variant) => rows.wants(one, variant));
      say(`${one.family}: ${one.name}, all variants`);
      if (now() < othersEndNs) await compileVariants(gpu, one, variants);
    }
  });
  const onRows = (soFar: KernelTimings): void => {
    found.timed = soFar;
    tell();
  };
  found.timed = await progress.step(
    'Time kernels in rounds, each after its check',
    (say) =>
      timeKernels(gpu, rows.cases, {
        ...{ clock, checked: found.checked?.families ?? [], budgetNs: KERNEL_SHARE * measuringNs },
        ...{ othersNs: Math.max(0, othersEndNs - now()), chosenOnly, wants: rows.wants },
        ...{ say, onRows, cold: inputs.cold, mostRounds: sizes.rounds, originNs: start },
        onRow: (row) => live.row?.(row),
      }),
    ({ rows: timed, rounds }) => {
      const missing = unmeasured(timed).length;
      const done = timed.filter(({ timing }) => timing.state === 'measured').length;
      const told = `${done} of ${timed.length} measured in ${rounds.count} rounds`;
      return missing === 0 ? told : `${told}; NOT MEASURED: ${missing}`;
    },
  );
  if (anyAboveRoof(found.timed.rows, found.ceilings)) {
    const again = await probe('Measure the ceilings again: a kernel is above them');
    found.ceilings = bestOf([...found.ceilings, ...again]);
  }
  const isJudged = gpu.facts.kind === 'gpu' && found.forward?.pass === true;
  found.card = isJudged
    ? await progress.step('Time layers of the card model', (say) =>
        measureCardRate(gpu, { ...CARD_RATE, say }),
      )
    : null;
  tell();
  if (withModel && kernelsPass && now() - start < sizes.growthEndNs) {
    found.growth = await progress.step('Fit growth of time', (say) =>
      measureGrowth(gpu, SHORT_SERIES, clock, GROWTH_SHARE * measuringNs, {
        step: (title, work) => (say(title), work(say)),
      }),
    );
  }
  found.host = await progress.step('Time host tasks', () =>
    timeHostTasks(gpu, inputs.checkpoint, sizes.hostMs),
  );
}

/** @throws CheckError that names what failed or was not measured; the result itself has all the details. */
export function requirePass(result: BenchResult): void {
  const failures = failuresOf(result);
  const { outcome, judgements } = result.verdict;
  if (failures.length > 0) {
    const number = failures.length === 1 ? '1 check failed' : `${failures.length} checks failed; the first`;
    throw new CheckError(`${number}: ${failures[0]}`);
  }
  if (result.pass && outcome === 'pass') return;
  const reason = judgements.find(({ what, state }) => state === 'fail' && what !== 'target');
  throw new CheckError(
    outcome === 'incomplete'
      ? `the bench is incomplete: ${reason?.text}`
      : `the bench failed: ${reason?.text}`,
  );
}

/** '105 GFLOP/s, 7.90 GB/s': peak and the bandwidth of main memory. */
function peakText(ceilings: Ceilings): string {
  const [peak, bandwidth] = [peakFlopsPerSecond(ceilings), bandwidthFor(ceilings, Infinity)];
  if (peak === undefined || bandwidth === undefined) return 'no roofline: the clock is too coarse';
  return `${formatSi(peak, 'FLOP/s')}, ${formatSi(bandwidth, 'B/s')}`;
}

function count<K extends string>(reports: readonly Readonly<Record<K, number>>[], key: K): number {
  return reports.reduce((total, report) => total + report[key], 0);
}

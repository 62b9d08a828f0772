/** The whole bench in order: check, then time, then set the rates beside the target. */
import { CheckError } from '../core/errors.ts';
import { formatNumber, formatSi, NS_PER_S } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { formatLayout, type LayoutSpec } from '../layout/spec.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { presetNamed } from '../model/presets.ts';
import { internalCases } from '../validate/cases/internal.ts';
import { kernelCases, quickCases } from '../validate/cases.ts';
import type { KernelCase } from '../validate/kernel-case.ts';
import { anyAboveRoof, ceilingFailures, holdToRoof } from './above-roof.ts';
import { benchCases, SCALES } from './bench-cases.ts';
import { openCanary } from './canary.ts';
import { bestOf, measureCeilings, type Ceilings } from './ceilings.ts';
import type { CacheSize } from './cold.ts';
import { examineAdapter } from './examine.ts';
import { timeHostTasks } from './host-tasks.ts';
import { checkKernels, failureText, timeKernels, type KernelTiming } from './kernel-suite.ts';
import type { KnownAnswers } from './known-answers.ts';
import { chooseClock } from './measure.ts';
import { checkModelAfter } from './model-check.ts';
import { SILENT, type Progress } from './progress.ts';
import {
  RESULT_SCHEMA,
  RESULT_VERSION,
  type BenchRates,
  type BenchResult,
  type BenchTuning,
  type Verdict,
} from './result.ts';
import { bandwidthFor, peakFlopsPerSecond } from './roofline.ts';
import { compareForward, type ForwardComparison } from './sharded.ts';
import { summarise } from './statistics.ts';
import { compareWithTarget, tokensPerMs, usefulFlopsPerSecond, type TargetComparison } from './throughput.ts';

export interface BenchInputs {
  readonly model: Checkpoint;
  readonly answers: KnownAnswers;
  /** Bytes of the model's safetensors file, for the host's tasks. */
  readonly checkpoint: Uint8Array;
  readonly layout: LayoutSpec;
  readonly quick: boolean;
  /** Host time that the run aims at. Checks are never cut short; timings take what is left. */
  readonly seconds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string | null;
  readonly progress?: Progress;
  /** Only kernels of these families; all when absent. */
  readonly families?: readonly string[];
  readonly sizes?: BenchSizes;
  /** What the front end says of the device's tuning. */
  readonly tuning?: BenchTuning;
  /** Times kernels on inputs that this cache does not hold. */
  readonly cold?: CacheSize;
}

/** How much of each check and of each timing. */
export interface BenchSizes {
  readonly prompts: number;
  /** Greedy tokens per prompt. */
  readonly tokens: number;
  readonly windows: number;
  readonly sequences: number;
  readonly tokensPerSequence: number;
  readonly hostMs: number;
  /** Time for the kernels even when the rest has used up its own. */
  readonly kernelNs: number;
  /** Time for the probes of the adapter's ceilings. */
  readonly ceilingNs: number;
}

const SIZES: Readonly<Record<'quick' | 'full', BenchSizes>> = {
  quick: {
    prompts: 1,
    tokens: 20,
    windows: 1,
    sequences: 64,
    tokensPerSequence: 8,
    hostMs: 30,
    kernelNs: 15e9,
    ceilingNs: 3e9,
  },
  full: {
    prompts: 2,
    tokens: 50,
    windows: 2,
    sequences: 128,
    tokensPerSequence: 32,
    hostMs: 150,
    kernelNs: 95e9,
    ceilingNs: 8e9,
  },
};

/** A run may take this share of its time when the checks have left less than `kernelNs` for the kernels. */
const OVERTIME = 1.25;

export async function runBench(gpu: Gpu, inputs: BenchInputs): Promise<BenchResult> {
  const { model, quick, layout, answers, progress = SILENT } = inputs;
  const now = (): number => gpu.platform.now();
  const start = now();
  const sizes = inputs.sizes ?? (quick ? SIZES.quick : SIZES.full);
  const wanted = ({ family }: KernelCase): boolean => inputs.families?.includes(family) ?? true;
  const leftNs = (share = 1): number => Math.max(0, share * inputs.seconds * NS_PER_S - (now() - start));

  const adapter = await progress.step(
    'Examine the adapter',
    () => examineAdapter(gpu),
    () => gpu.facts.name,
  );
  const clock = await chooseClock(gpu);
  const probe = (step: string): Promise<Ceilings> =>
    progress.step(
      step,
      (say) => measureCeilings(gpu, { clock, budgetNs: sizes.ceilingNs, say }),
      (found) => {
        const failed = ceilingFailures(found).length;
        return failed === 0 ? peakText(found) : `${failed} probes FAILED`;
      },
    );
  let ceilings = await probe('Measure the ceilings of the adapter');
  const families = await progress.step(
    'Check kernels against float64',
    (say) => checkKernels(gpu, (quick ? quickCases : kernelCases).filter(wanted), say),
    (reports) => {
      const [runs, failed] = [count(reports, 'runs'), count(reports, 'failed')];
      return failed === 0 ? `${runs} runs, all pass` : `${failed} of ${runs} runs FAILED`;
    },
  );
  const kernelsPass = count(families, 'failed') === 0;
  const modelReport = await progress.step(
    `Check ${model.config.name} on the ranks of ${formatLayout(layout)}`,
    (say) => checkModelAfter(kernelsPass, gpu, model, { layout, answers, ...sizes, say }),
    ({ pass, checks }) => (pass ? `${checks.length} checks pass` : 'FAILED'),
  );

  const forward = modelReport.pass
    ? await progress.step(
        `Time the forward pass of ${sizes.sequences} x ${sizes.tokensPerSequence} tokens`,
        (say) =>
          compareForward(gpu, model, {
            ...{ layout, ...sizes, say, maxSamples: 5 },
            ids: model.tokenizer?.encode(answers.validText) ?? [],
            budgetNs: Math.max(0, leftNs() - sizes.kernelNs),
          }),
        ({ ratio }) => (ratio === undefined ? 'FAILED' : `sharded / unsharded ${formatNumber(ratio)}`),
      )
    : null;
  const cases = benchCases(gpu.facts.kind === 'gpu' ? SCALES.gpu : SCALES.software);
  const timed = [...cases.filter((c) => c.quick || !quick), ...internalCases].filter(wanted);
  const canary = await openCanary(gpu, clock);
  const timings = await progress.step(
    'Time kernels, each after its check',
    (say) =>
      timeKernels(gpu, timed, {
        clock,
        checked: families,
        budgetNs: Math.max(leftNs(), Math.min(sizes.kernelNs, leftNs(OVERTIME))),
        chosenOnly: quick,
        ...{ say, canary, cold: inputs.cold },
      }),
    (found) =>
      `${found.filter(({ timing }) => timing.state === 'measured').length} of ${found.length} measured`,
  );
  const canaryReport = canary?.report() ?? null;
  canary?.destroy();
  if (anyAboveRoof(timings, ceilings)) {
    ceilings = bestOf([...ceilings, ...(await probe('Measure the ceilings again: a kernel is above them'))]);
  }
  const kernels = holdToRoof(timings, ceilings);
  const host = await progress.step('Time host tasks', () =>
    timeHostTasks(gpu, inputs.checkpoint, sizes.hostMs),
  );

  const rates = forward === null ? null : ratesOf(model, forward);
  const target = compareWithTarget(
    presetNamed('card').config,
    layout,
    modelReport.worldSize,
    rates?.usefulFlopsPerSecond,
  );
  const failed = [...ceilingFailures(ceilings), ...failuresOf(kernels)];
  return {
    schema: RESULT_SCHEMA,
    version: RESULT_VERSION,
    date: new Date().toISOString(),
    quick,
    layout: formatLayout(layout),
    model: model.config.name,
    commit: inputs.commit,
    versions: inputs.versions,
    adapter,
    clock,
    ceilings,
    pass: kernelsPass && modelReport.pass && forward?.pass === true && failed.length === 0,
    checks: { kernels: families, model: modelReport },
    kernels,
    canary: canaryReport,
    cold: inputs.cold ?? null,
    tuning: inputs.tuning ?? null,
    forward,
    rates,
    target,
    host,
    verdict: verdictOf(gpu, target, clock.clock),
    wallNs: now() - start,
    sources: {
      ceilings: 'measured',
      kernels: 'measured',
      forward: 'measured',
      rates: 'measured',
      target: 'modelled',
      host: 'measured',
    },
  };
}

/** @throws CheckError that names what failed; the result itself has all the details. */
export function requirePass(result: BenchResult): void {
  if (result.pass) return;
  const { kernels, model } = result.checks;
  const failures = [
    ...kernels.flatMap(({ family, failures: runs }) => runs.map((run) => failureText(family, run))),
    ...(model.error === undefined ? [] : [`${model.model}: ${model.error}`]),
    ...model.checks
      .filter((check) => !check.pass)
      .map((c) => `${model.model}: ${c.what}, ${c.who} - ${c.against}: ${c.found}`),
    ...ceilingFailures(result.ceilings),
    ...failuresOf(result.kernels),
    ...(result.forward?.pass === false ? ['the sharded forward pass differs from the unsharded one'] : []),
  ];
  const count = failures.length === 1 ? '1 check failed' : `${failures.length} checks failed; the first`;
  throw new CheckError(`${count}: ${failures[0] ?? 'unknown'}`);
}

/** '105 GFLOP/s, 7.90 GB/s': peak and the bandwidth of main memory. */
function peakText(ceilings: Ceilings): string {
  const [peak, bandwidth] = [peakFlopsPerSecond(ceilings), bandwidthFor(ceilings, Infinity)];
  if (peak === undefined || bandwidth === undefined) return 'no roofline: the clock is too coarse';
  return `${formatSi(peak, 'FLOP/s')}, ${formatSi(bandwidth, 'B/s')}`;
}

function failuresOf(kernels: readonly KernelTiming[]): string[] {
  return kernels.flatMap(({ family, name, variant, timing }) =>
    timing.state === 'failed' ? [failureText(family, { name, variant, message: timing.reason })] : [],
  );
}

function count<K extends string>(reports: readonly Readonly<Record<K, number>>[], key: K): number {
  return reports.reduce((total, report) => total + report[key], 0);
}

function ratesOf(model: Checkpoint, forward: ForwardComparison): BenchRates | null {
  const { sharded, unsharded, tokens, tokensPerSequence } = forward;
  if (sharded === undefined || unsharded === undefined) return null;
  const ns = summarise(sharded.samplesNs).median;
  const meanKvLength = (tokensPerSequence + 1) / 2;
  return {
    clock: 'host',
    tokensPerMsPerGpu: tokensPerMs(tokens, ns),
    unshardedTokensPerMs: tokensPerMs(tokens, summarise(unsharded.samplesNs).median),
    usefulFlopsPerSecond: usefulFlopsPerSecond(model.config, tokens, meanKvLength, ns),
  };
}

function verdictOf(gpu: Gpu, target: TargetComparison, clock: string): Verdict {
  if (gpu.facts.kind === 'unknown') {
    return { given: false, text: 'No verdict on the target: this adapter does not say what it is.' };
  }
  if (gpu.facts.kind !== 'gpu') {
    return { given: false, text: 'No verdict on the target: this adapter runs on the CPU.' };
  }
  const rate = target.atMeasuredFlops;
  if (rate === undefined) return { given: false, text: 'No verdict on the target: a check failed.' };
  const reaches = rate >= target.targetTokensPerMsPerGpu;
  return {
    given: true,
    text:
      `At the FLOP/s measured here (${clock} clock for kernels, host for the pass) one GPU would pass ` +
      `${formatNumber(rate)} tokens/ms of preset ${target.preset}: the target of ${target.targetTokensPerMsPerGpu} ` +
      `is ${reaches ? 'within reach' : 'not reached'} (modelled, without network).`,
  };
}

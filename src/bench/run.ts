/** The whole bench in order: check, then time, then say what it amounts to. */
import { CheckError } from '../core/errors.ts';
import { formatNumber, formatSi, NS_PER_S } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { formatLayout, type LayoutSpec } from '../layout/spec.ts';
import { planLayout } from '../layout/layout.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { presetNamed } from '../model/presets.ts';
import { kernelCases, quickCases } from '../validate/cases.ts';
import { anyAboveRoof, ceilingFailures, holdToRoof } from './ceilings/above-roof.ts';
import { CARD_RATE, measureCardRate, type CardRate } from './model/card-rate.ts';
import { bestOf, measureCeilings, type Ceilings } from './ceilings/ceilings.ts';
import type { CacheSize } from '../measure/cold.ts';
import { compileTaken, compileVariants } from './kernels/compile.ts';
import { examineAdapter } from './examine.ts';
import { timeHostTasks } from './host-tasks.ts';
import { checkKernels } from './kernels/check.ts';
import { timeKernels } from './kernels/suite.ts';
import type { KnownAnswers } from './model/known-answers.ts';
import type { BenchLive } from './live.ts';
import { loadBetween } from '../measure/load.ts';
import { chooseClock } from '../measure/stopwatch.ts';
import { checkModelAfter } from './model/check.ts';
import { SILENT, type Progress } from './progress.ts';
import {
  RESULT_SCHEMA,
  RESULT_VERSION,
  type BenchRates,
  type BenchResult,
  type BenchTuning,
} from './result.ts';
import { bandwidthFor, peakFlopsPerSecond } from './ceilings/roofline.ts';
import { rowsOf, type Selection } from './kernels/select.ts';
import { compareForward, type ForwardComparison } from './model/sharded.ts';
import { measureGrowth } from './model/growth.ts';
import { SHORT_SERIES } from './model/growth-series.ts';
import { FORWARD_SHARE, GROWTH_SHARE, KERNEL_SHARE, SIZES, type BenchSizes } from './sizes.ts';
import { summarise } from '../measure/statistics.ts';
import { compareWithTarget, tokensPerMs, usefulFlopsPerSecond } from './model/throughput.ts';
import { failuresOf, unmeasured, verdictOf } from './verdict.ts';

export interface BenchInputs {
  readonly model: Checkpoint;
  readonly answers: KnownAnswers;
  /** Bytes of the model's safetensors file, for the host's tasks. */
  readonly checkpoint: Uint8Array;
  readonly layout: LayoutSpec;
  readonly quick: boolean;
  /** Host time to measure for; compiling and checks come on top. */
  readonly seconds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string | null;
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
}

/** @throws ConfigError for a selection of kernels that there are not. */
export async function runBench(gpu: Gpu, inputs: BenchInputs): Promise<BenchResult> {
  const { model, quick, layout, answers, progress = SILENT, only = {}, withModel = true, live = {} } = inputs;
  const now = (): number => gpu.platform.now();
  const [start, cpuBefore] = [now(), gpu.platform.cpuTimes?.()];
  const sizes = inputs.sizes ?? (quick ? SIZES.quick : SIZES.full);
  const measuringNs = inputs.seconds * NS_PER_S;
  const rows = rowsOf(gpu, quick, only);

  const adapter = await progress.step(
    'Examine the adapter',
    () => examineAdapter(gpu),
    () => gpu.facts.name,
  );
  const clock = await chooseClock(gpu);
  live.adapter?.(adapter, clock);
  const probe = (step: string): Promise<Ceilings> =>
    progress.step(
      step,
      (say) => measureCeilings(gpu, { clock, budgetNs: Math.min(sizes.ceilingNs, measuringNs / 4), say }),
      (found) => {
        const failed = ceilingFailures(found).length;
        return failed === 0 ? peakText(found) : `${failed} probes FAILED`;
      },
    );
  let ceilings = await probe('Measure the ceilings of the adapter');
  live.ceilings?.(ceilings);
  const checked = await progress.step(
    'Check kernels against float64',
    (say) =>
      checkKernels(gpu, (quick ? quickCases : kernelCases).filter(rows.isFamily), {
        ...{ chosenOnly: quick && !rows.namesVariants, othersEndNs: start + sizes.otherChecksEndNs, say },
        onResult: (result) => live.checked?.(result),
      }),
    ({ families, notRun }) => {
      const [runs, failed] = [count(families, 'runs'), count(families, 'failed')];
      const told = failed === 0 ? `${runs} runs, all pass` : `${failed} of ${runs} runs FAILED`;
      return notRun === 0 ? told : `${told}; NOT CHECKED for want of time: ${notRun} of other variants`;
    },
  );
  const kernelsPass = count(checked.families, 'failed') === 0;
  const modelReport = withModel
    ? await progress.step(
        `Check ${model.config.name} on the ranks of ${formatLayout(layout)}`,
        (say) => checkModelAfter(kernelsPass, gpu, model, { layout, answers, ...sizes, say }),
        ({ pass, checks }) => (pass ? `${checks.length} checks pass` : 'FAILED'),
      )
    : null;
  if (modelReport !== null) live.model?.(modelReport);
  const forward = modelReport?.pass
    ? await progress.step(
        `Time the forward pass of ${sizes.sequences} x ${sizes.tokensPerSequence} tokens`,
        (say) =>
          compareForward(gpu, model, {
            ...{ layout, ...sizes, say, minSamples: sizes.passes, maxSamples: 2 * sizes.passes },
            ids: model.tokenizer?.encode(answers.validText) ?? [],
            budgetNs: FORWARD_SHARE * measuringNs,
          }),
        ({ ratio }) => (ratio === undefined ? 'FAILED' : `sharded / unsharded ${formatNumber(ratio.median)}`),
      )
    : null;
  if (forward !== null) live.forward?.(forward);
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
  const timed = await progress.step(
    'Time kernels in rounds, each after its check',
    (say) =>
      timeKernels(gpu, rows.cases, {
        ...{ clock, checked: checked.families, budgetNs: KERNEL_SHARE * measuringNs },
        ...{ othersNs: Math.max(0, othersEndNs - now()), chosenOnly, wants: rows.wants },
        ...{ say, cold: inputs.cold, mostRounds: sizes.rounds, originNs: start },
        onRow: (row) => live.row?.(row),
      }),
    ({ rows: found, rounds }) => {
      const missing = unmeasured(found).length;
      const done = found.filter(({ timing }) => timing.state === 'measured').length;
      const told = `${done} of ${found.length} measured in ${rounds.count} rounds`;
      return missing === 0 ? told : `${told}; NOT MEASURED: ${missing}`;
    },
  );
  if (anyAboveRoof(timed.rows, ceilings)) {
    ceilings = bestOf([...ceilings, ...(await probe('Measure the ceilings again: a kernel is above them'))]);
  }
  const kernels = holdToRoof(timed.rows, ceilings);
  const isJudged = gpu.facts.kind === 'gpu' && forward?.pass === true;
  const card: CardRate | null = isJudged
    ? await progress.step('Time layers of the card model', (say) =>
        measureCardRate(gpu, { ...CARD_RATE, say }),
      )
    : null;
  const growth =
    withModel && kernelsPass && now() - start < sizes.growthEndNs
      ? await progress.step('Fit growth of time', (say) =>
          measureGrowth(gpu, SHORT_SERIES, clock, GROWTH_SHARE * measuringNs, {
            step: (title, work) => (say(title), work(say)),
          }),
        )
      : undefined;
  const host = await progress.step('Time host tasks', () =>
    timeHostTasks(gpu, inputs.checkpoint, sizes.hostMs),
  );
  const { families, notRun, registered } = checked;
  const own = registered.length > 0 && { registered };
  const checks = { kernels: families, notRun, model: modelReport, ...own };
  const verdict = verdictOf({ adapter, checks, ceilings, kernels, forward, card });
  return {
    schema: RESULT_SCHEMA,
    version: RESULT_VERSION,
    runId: crypto.randomUUID(),
    date: new Date().toISOString(),
    quick,
    layout: formatLayout(layout),
    model: model.config.name,
    commit: inputs.commit,
    versions: inputs.versions,
    ...{ adapter, clock, ceilings, pass: verdict.outcome === 'pass', checks, kernels },
    ...{ rounds: timed.rounds, canary: timed.canary },
    load: loadBetween(cpuBefore, gpu.platform.cpuTimes?.()),
    cold: inputs.cold ?? null,
    tuning: inputs.tuning ?? null,
    ...(growth && { growth }),
    forward,
    rates: forward === null ? null : ratesOf(model, forward),
    target: compareWithTarget(presetNamed('card').config, layout, planLayout(layout, model.config).worldSize),
    ...{ card, host, verdict },
    wallNs: now() - start,
    sources: {
      ...{ ceilings: 'measured', kernels: 'measured', forward: 'measured', rates: 'measured' },
      ...{ target: 'modelled', card: 'measured', host: 'measured' },
    },
  };
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

/** Each sequence starts from nothing, so its tokens attend to 1 to `tokensPerSequence` positions. */
export function ratesOf(model: Pick<Checkpoint, 'config'>, forward: ForwardComparison): BenchRates | null {
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

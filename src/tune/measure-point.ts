/** One choice at one shape: every candidate is checked against float64, then all that passed are timed in turn. */
import { sampleInTurn } from '../measure/sampling.ts';
import { stopwatchFor, type BenchClock } from '../measure/stopwatch.ts';
import { timedCheck } from '../bench/kernels/timed-check.ts';
import type { Timing } from '../measure/timing.ts';
import { at } from '../core/math.ts';
import { formatNs } from '../core/units.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { CodeOf, TuningQuestion } from '../gpu/tuning.ts';
import type { PreparedOp } from '../ops/op.ts';
import type { KernelCase } from '../validate/kernel-case.ts';
import { decide, spreadOf } from './decide.ts';
import { forcing, observe, withTuning } from '../measure/observe.ts';
import type { Evidence, TuningPoint } from './point.ts';
import { keyOf } from './shape-key.ts';
import { spotChecked } from '../validate/spot-check.ts';
import type { Subject } from '../validate/draw/subject.ts';

/** What is so much slower in its check is not timed. A guess. */
const HOPELESS = 2.5;
/** Guesses. */
const SAMPLING = { minSamples: 9, maxSamples: 31, precision: 0.01 } as const;

export interface PointRequest {
  readonly subject: Subject;
  readonly kernelCase: KernelCase;
  /** Which of the choices that the case asks for. */
  readonly index: number;
  readonly question: TuningQuestion;
  readonly clock: BenchClock;
  readonly budgetNs: number;
  readonly project: string;
  readonly codeOf: CodeOf;
  /** Only these, beside the default; all when absent. */
  readonly only?: readonly string[];
  readonly say?: (text: string) => void;
}

export interface PointResult {
  readonly point: TuningPoint | undefined;
  /** Variants whose result was wrong: a fault, whatever else is tuned. */
  readonly wrong: readonly { readonly variant: string; readonly message: string }[];
  /** Why there is no point. */
  readonly reason?: string;
}

/** The choices that a case asks for, in their order; those without an alternative are not asked. */
export async function questionsOf(gpu: Gpu, kernelCase: KernelCase): Promise<readonly TuningQuestion[]> {
  const { result, questions } = await observe(gpu, undefined, () => kernelCase.prepare(gpu));
  result.destroy();
  return questions;
}

interface Checked {
  readonly name: string;
  readonly code: string;
  /** Host time of the check's last run: good enough to leave out what is hopeless. */
  readonly hostNs: number;
}

export async function measurePoint(gpu: Gpu, request: PointRequest): Promise<PointResult> {
  const { kernelCase, index, question, clock, say = () => undefined, only } = request;
  const end = gpu.platform.now() + request.budgetNs;
  const candidates = question.able.filter(({ name }, i) => i === 0 || (only?.includes(name) ?? true));
  const spot = spotChecked(kernelCase);
  const passed: Checked[] = [];
  const wrong: { variant: string; message: string }[] = [];
  const left = question.refused.map(({ name, reason }) => ({ variant: name, reason }));
  for (const { name, shader, text } of candidates) {
    say(`check ${name}`);
    const forced: KernelCase = {
      ...spot,
      prepare: () => withTuning(gpu, forcing(index, name), () => spot.prepare(gpu)),
    };
    const { result, hostNs } = await timedCheck(gpu, forced);
    const { pass, message } = result;
    const base = passed[0]?.hostNs ?? hostNs;
    if (!pass) {
      wrong.push({ variant: name, message });
      left.push({ variant: name, reason: `its check failed: ${message}` });
      if (passed.length === 0)
        return { point: undefined, wrong, reason: `the default ${name} failed its check` };
    } else if (hostNs > HOPELESS * base) {
      left.push({
        variant: name,
        reason: `in its check it took ${formatNs(hostNs)}, the default ${formatNs(base)}`,
      });
    } else passed.push({ name, code: request.codeOf(shader, text), hostNs });
  }
  say(`time ${passed.map(({ name }) => name).join(', ')}`);
  const prepared: PreparedOp[] = [];
  try {
    for (const { name } of passed) {
      prepared.push(await withTuning(gpu, forcing(index, name), () => kernelCase.prepare(gpu)));
    }
    const watches = prepared.map((one) => stopwatchFor(gpu, (commands) => one.record(commands), clock));
    // The default once more: how far it is from itself is what a gain must exceed.
    const budgetNs = Math.max(0, end - gpu.platform.now());
    const timings = await sampleInTurn([...watches, at(watches, 0)], { ...SAMPLING, budgetNs });
    return { wrong, ...conclude(request, passed, timings, left) };
  } finally {
    for (const one of prepared) one.destroy();
  }
}

function conclude(
  request: PointRequest,
  passed: readonly Checked[],
  timings: readonly Timing[],
  refused: TuningPoint['left'],
): Omit<PointResult, 'wrong'> {
  const { question, subject, clock, project, index } = request;
  const [own, again] = [timings[0], timings.at(-1)];
  const defaultName = at(passed, 0).name;
  if (own?.state !== 'measured' || again?.state !== 'measured') {
    const why = own?.state === 'failed' ? own.reason : 'the clock is too coarse for the default';
    return { point: undefined, reason: why };
  }
  const spread = spreadOf(own.samplesNs, again.samplesNs);
  const left = [...refused];
  const evidence: Evidence[] = [];
  passed.forEach(({ name, code }, i) => {
    const timing = at(timings, i);
    if (timing.state === 'measured') {
      const { samplesNs, repeats } = timing;
      evidence.push({ variant: name, code, samplesNs, repeats });
    } else
      left.push({
        variant: name,
        reason: timing.state === 'too-fine' ? 'too fast for the clock' : timing.reason,
      });
  });
  return {
    point: {
      ...keyOf(question.family, question.shape),
      ...{ subject, index, date: new Date().toISOString(), project },
      ...{ default: defaultName, ...decide(evidence, defaultName, spread, clock.grainNs) },
      ...{ spread, againNs: again.samplesNs, grainNs: clock.grainNs, evidence, left },
    },
  };
}

/** Steps of an engine on this device, as calibration and as what is to be predicted: bare, and kernel by kernel. */
import { at, maxOf, minOf, range } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { planLayout } from '../layout/layout.ts';
import { parseLayout } from '../layout/spec.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { CalibrationStep, KernelTime } from '../planner/own/step-model.ts';
import { createEngine, type Engine } from '../runtime/engine.ts';
import type { StepSpan } from '../runtime/step/span.ts';
import { stepSubject } from './subjects/engine-step.ts';
import type { RunPiece } from './run.ts';

/** What all sequences do in a step. */
export interface StepShape {
  readonly sequences: number;
  /** Tokens of a prompt. */
  readonly tokens: number;
  /** The prompts themselves, or the token after them. */
  readonly step: 'prefill' | 'decode';
}

/** '8 x 16 prefill' */
export const shapeName = ({ sequences, tokens, step }: StepShape): string =>
  step === 'prefill' ? `${sequences} x ${tokens} prefill` : `${sequences} decode at ${tokens}`;

export interface OwnStep extends CalibrationStep {
  readonly layout: string;
  readonly shape: StepShape;
}

/** Every shape on one layout, bare and instrumented in turns. @throws ConfigError for a layout that the model does not fit. */
export async function measureSteps(
  gpu: Gpu,
  model: Checkpoint,
  layout: string,
  shapes: readonly StepShape[],
  rounds: number,
): Promise<OwnStep[]> {
  const engine = await createEngine(gpu, {
    layout: planLayout(parseLayout(layout), model.config),
    weights: model,
    maxSequences: maxOf(shapes.map(({ sequences }) => sequences)),
    maxLength: maxOf(shapes.map(({ tokens }) => tokens + 1)),
  });
  try {
    const found: OwnStep[] = [];
    for (const shape of shapes)
      found.push({ layout, shape, ...(await measureStep(engine, model, shape, rounds)) });
    return found;
  } finally {
    engine.destroy();
  }
}

async function measureStep(
  engine: Engine,
  { config }: Checkpoint,
  { sequences, tokens, step }: StepShape,
  rounds: number,
): Promise<CalibrationStep> {
  const requests = (count: number) =>
    range(sequences).map((sequence) => ({
      sequence,
      ids: range(count).map((i) => (7 * i + 13 * sequence) % config.vocabSize),
    }));
  const subject =
    step === 'prefill'
      ? stepSubject(engine, requests(tokens))
      : stepSubject(engine, requests(1), requests(tokens));
  const bare: number[] = [];
  const timed: (readonly KernelTime[])[] = [];
  await subject.run('none');
  for (let round = 0; round < rounds; round++) {
    bare.push((await subject.run('none')).wallNs);
    const { pieces } = await subject.run('dispatch');
    timed.push(pieces.flatMap(kernelsOf));
    bare.push((await subject.run('none')).wallNs);
  }
  const kernels = at(timed, 0).map((one, i) => ({
    ...one,
    ns: minOf(timed.map((run) => at(run, i).ns)),
  }));
  return { kernels, wallNs: minOf(bare) };
}

/** Dispatches of one kernel within one span, together. */
function kernelsOf({ spans }: RunPiece): KernelTime[] {
  const found = new Map<StepSpan, Map<string, { dispatches: number; ns: number }>>();
  for (const { tag, kernel = '', ns = 0 } of spans) {
    const own = found.get(tag) ?? new Map<string, { dispatches: number; ns: number }>();
    found.set(tag, own);
    const sum = own.get(kernel) ?? { dispatches: 0, ns: 0 };
    own.set(kernel, { dispatches: sum.dispatches + 1, ns: sum.ns + ns });
  }
  return [...found].flatMap(([{ operation, rows, flop, bytes }, kernels]) =>
    [...kernels].map(([kernel, sum]) => ({ kernel, operation, rows, flop, bytes, ...sum })),
  );
}

/** Steps of engines on this device, as calibration and as what is to be predicted: bare, and kernel by kernel. */
import { maxOf, minOf, range } from '../core/math.ts';
import { seededRandom, shuffled } from '../core/random.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { planLayout } from '../layout/layout.ts';
import { parseLayout } from '../layout/spec.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { CalibrationStep } from '../planner/own/step-model.ts';
import { createEngine, type Engine } from '../runtime/engine.ts';
import type { StepSpanTime } from '../runtime/step/span.ts';
import { workOfStep } from './own-work.ts';
import { stepSubject } from './subjects/engine-step.ts';
import type { Subject } from './subjects/subject.ts';

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

/** Layouts, and batches that each of them is given. */
export interface StepSet {
  readonly layouts: readonly string[];
  readonly shapes: readonly StepShape[];
  /** Whether its kernels are timed in every round; otherwise once, to know which they are. */
  readonly timed: boolean;
}

export interface OwnStep extends CalibrationStep {
  readonly layout: string;
  readonly shape: StepShape;
}

/** What an engine takes: by the lists that need no device, and what lives on it. */
export interface OwnMemory {
  readonly layout: string;
  readonly predictedBytes: number;
  readonly liveBytes: number;
}

export interface OwnMeasurement {
  /** Of each set. */
  readonly steps: readonly (readonly OwnStep[])[];
  readonly memory: readonly OwnMemory[];
}

interface Measured {
  readonly set: StepSet;
  readonly layout: string;
  readonly shape: StepShape;
  readonly subject: Subject;
  readonly bare: number[];
  readonly runs: (readonly StepSpanTime[])[];
}

/** Bare steps of a round. */
const BARE = 3;

/** Where a round takes long, no further one is begun after so long, but so many are. */
const ENOUGH_NS = 150e9;
const LEAST_ROUNDS = 2;

/**
 * Every shape on every layout of all sets. A round goes over all of them in a shuffled order, so what else the machine does
 * meets them alike.
 * @param told where it is.
 * @throws ConfigError for a layout that the model does not fit.
 */
export async function measureSteps(
  gpu: Gpu,
  model: Checkpoint,
  sets: readonly StepSet[],
  rounds: number,
  told: (where: string) => void,
): Promise<OwnMeasurement> {
  const engines: Engine[] = [];
  const memory: OwnMemory[] = [];
  try {
    const all: Measured[] = [];
    for (const set of sets) {
      for (const layout of set.layouts) {
        told(layout);
        const engine = await engineFor(gpu, model, layout, set.shapes);
        engines.push(engine);
        const { predictedBytes, liveBytes } = engine.memory;
        memory.push({ layout, predictedBytes, liveBytes });
        for (const shape of set.shapes) {
          const subject = subjectOf(engine, model, shape);
          await subject.run('none');
          all.push({ set, layout, shape, subject, bare: [], runs: [] });
        }
      }
    }
    const random = seededRandom(1);
    const began = gpu.now();
    for (let round = 0; round < rounds; round++) {
      if (round >= LEAST_ROUNDS && gpu.now() - began > ENOUGH_NS) break;
      told(`round ${round + 1} of ${rounds}`);
      for (const one of shuffled(all, random)) await measureOnce(one);
    }
    const { numExperts } = model.config;
    const steps = sets.map((set) =>
      all.filter((one) => one.set === set).map((one) => stepOf(one, numExperts)),
    );
    return { steps, memory };
  } finally {
    for (const engine of engines) engine.destroy();
  }
}

function engineFor(
  gpu: Gpu,
  model: Checkpoint,
  layout: string,
  shapes: readonly StepShape[],
): Promise<Engine> {
  return createEngine(gpu, {
    layout: planLayout(parseLayout(layout), model.config),
    weights: model,
    maxSequences: maxOf(shapes.map(({ sequences }) => sequences)),
    maxLength: maxOf(shapes.map(({ tokens }) => tokens + 1)),
  });
}

function subjectOf(engine: Engine, { config }: Checkpoint, { sequences, tokens, step }: StepShape): Subject {
  const requests = (count: number) =>
    range(sequences).map((sequence) => ({
      sequence,
      ids: range(count).map((i) => (7 * i + 13 * sequence) % config.vocabSize),
    }));
  return step === 'prefill'
    ? stepSubject(engine, requests(tokens))
    : stepSubject(engine, requests(1), requests(tokens));
}

async function measureOnce({ set, subject, bare, runs }: Measured): Promise<void> {
  if (set.timed || runs.length === 0) {
    const { pieces } = await subject.run('dispatch');
    runs.push(pieces.flatMap(({ spans }) => spans));
  }
  for (let i = 0; i < BARE; i++) bare.push((await subject.run('none')).wallNs);
}

function stepOf({ layout, shape, bare, runs }: Measured, experts: number): OwnStep {
  const { tokens, step } = shape;
  const sizes = step === 'prefill' ? { queries: tokens, keys: tokens } : { queries: 1, keys: tokens + 1 };
  return { layout, shape, kernels: workOfStep(runs, { ...sizes, experts }), wallNs: minOf(bare) };
}

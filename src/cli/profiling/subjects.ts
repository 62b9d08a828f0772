/** What is run by `profile`, ready on a device, with what is told of it. */
import { resolve } from 'node:path';
import { benchCases, SCALES } from '../../bench/kernels/bench-cases.ts';
import { ConfigError } from '../../core/errors.ts';
import { maxOf, range } from '../../core/math.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { planLayout, type Layout } from '../../layout/layout.ts';
import { formatLayout, parseLayout } from '../../layout/spec.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { storedDtypes } from '../../model/stored-weights.ts';
import { readSafetensors } from '../../model/safetensors/safetensors.ts';
import { parseAttrs } from '../../ops/attrs.ts';
import type { Op, OpInputs } from '../../ops/op.ts';
import { generationSubject } from '../../profile/subjects/generation.ts';
import { opSubject } from '../../profile/subjects/op-run.ts';
import { stepSubject } from '../../profile/subjects/engine-step.ts';
import type { Subject } from '../../profile/subjects/subject.ts';
import { requireRoom } from '../../memory/room.ts';
import { traitsOf } from '../../runtime/layer/kernels.ts';
import { createEngine, type Engine, type RoutingAccount } from '../../runtime/engine.ts';
import { kernelCases } from '../../validate/cases.ts';
import { freeBytes, isBundled, layoutOf, loadModelOrShape, TINY_MOE, tokenizerOf } from '../model.ts';
import { loadVariants, registerAll } from '../own/modules.ts';
import { platformHere } from '../session.ts';
import { factsOf, opNamed } from '../verbs/op.ts';
import { askedRouting, engineRouting, type RoutedSizing } from '../verbs/routing/engine-options.ts';
import { DEFAULTS, type ProfileVerbOptions } from './options.ts';
import type { Profiled, ProfiledModel } from './report.ts';

export interface Ready {
  readonly subject: Subject;
  readonly layout?: Layout;
  /** @param microBatches of the run. */
  told(microBatches: number): Profiled;
  /** What became of the rows of all its runs, of a model with a routing of its own. */
  readonly account?: () => Promise<RoutingAccount | undefined>;
  destroy(): void;
}

/** What was found to be right before a device is opened. @throws ConfigError */
export interface Planned {
  /** Uploads and compiles. @throws ConfigError for what this device cannot run. */
  ready(gpu: Gpu): Promise<Ready>;
  /** Closes the model's files. */
  close?(): Promise<void>;
}

export async function planned(options: ProfileVerbOptions): Promise<Planned> {
  if (options.op !== undefined) return plannedOp(options, opNamed(options.op));
  const model = await loadModelOrShape(options.model ?? TINY_MOE);
  const close = (): Promise<void> => model.close();
  try {
    const spec =
      options.layout === undefined ? layoutOf(options.model, model.config) : parseLayout(options.layout);
    const routed = await engineRouting(options, spec, model.config);
    const where = { layout: planLayout(spec, model.config, routed.placement), routed };
    const plan =
      options.prompt === undefined
        ? plannedStep(options, model, where)
        : plannedGeneration(options, model, where, options.prompt);
    return { ...plan, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function plannedOp(options: ProfileVerbOptions, op: Op): Promise<Planned> {
  const own = await loadVariants(options);
  const given = options.in === undefined ? undefined : await fileInputs(op, options.in, options.attrs ?? []);
  return {
    ready: async (gpu) => {
      await registerAll(gpu, own);
      const { inputs, from } = given ?? caseInputs(gpu, op);
      const cost = op.cost(inputs);
      const prepared = await op.prepare(gpu, inputs, options.variant);
      return {
        subject: opSubject(gpu, op.name, prepared, cost),
        told: () => ({
          ...{ what: 'op', op: op.name, variant: prepared.variant, from },
          attrs: Object.fromEntries(inputs.attrs),
          ...{ inputs: factsOf(inputs.tensors), flop: cost.flops, bytes: cost.bytes },
        }),
        destroy: () => prepared.destroy(),
      };
    },
  };
}

interface From {
  readonly inputs: OpInputs;
  readonly from: string;
}

async function fileInputs(op: Op, path: string, attrs: readonly string[]): Promise<From> {
  const tensors = readSafetensors(await platformHere().readFile(resolve(path)), path);
  const inputs = { tensors, attrs: parseAttrs(op, attrs) };
  op.check(inputs);
  return { inputs, from: path };
}

/** A case of the bench; where it has none, the one of the checks that costs the most. */
function caseInputs(gpu: Gpu, op: Op): From {
  const timed = benchCases(SCALES[gpu.facts.kind === 'gpu' ? 'gpu' : 'software']);
  const ofBench = timed.find(({ family, quick }) => family === op.name && quick);
  const checked = kernelCases.filter(({ family, quick }) => family === op.name && quick);
  const most = maxOf(ofBench === undefined ? checked.map((one) => one.cost().flops) : [], 0);
  const chosen = ofBench ?? checked.find((one) => one.cost().flops === most);
  const inputs = chosen?.inputs?.();
  if (chosen === undefined || inputs === undefined)
    throw new ConfigError(`${op.name} has no case of its own; give its tensors with --in <file>.`);
  return { inputs, from: chosen.name };
}

function modelFacts(options: ProfileVerbOptions, { config }: Checkpoint, layout: Layout): ProfiledModel {
  const asked = askedRouting(options);
  return {
    ...{ model: config.name, layout: formatLayout(layout.spec), worldSize: layout.worldSize },
    ...{
      weights: options.weights ?? (isBundled(options.model) ? 'f32' : 'stored'),
      cache: options.cache ?? 'f32',
    },
    ...(asked && { routing: asked }),
  };
}

/** A model that is named keeps what its files have, where kernels read it. */
function storedAs({ weights, cache, model: named }: ProfileVerbOptions, model: Checkpoint) {
  return {
    ...(weights !== undefined && { weightDtype: weights }),
    ...(weights === undefined && !isBundled(named) && { dtypes: storedDtypes(model) }),
    ...(cache !== undefined && { cacheDtype: cache }),
  };
}

/** An engine, and what runs on it. */
function readyOn(engine: Engine, subject: Subject, told: Ready['told']): Ready {
  return {
    ...{ subject, layout: engine.layout, told },
    account: () => engine.routing(),
    destroy: () => engine.destroy(),
  };
}

/** On which ranks a model runs, and how it routes there. */
interface Where {
  readonly layout: Layout;
  readonly routed: RoutedSizing;
}

function plannedStep(options: ProfileVerbOptions, model: Checkpoint, { layout, routed }: Where): Planned {
  const { batch = DEFAULTS.batch, tokens = DEFAULTS.tokens, step = DEFAULTS.step } = options;
  const ids = (count: number, sequence: number): number[] =>
    range(count).map((i) => (7 * i + sequence) % model.config.vocabSize);
  const requests = (count: number) =>
    range(batch).map((sequence) => ({ sequence, ids: ids(count, sequence) }));
  return {
    ready: async (gpu) => {
      const sizing = {
        ...{ maxSequences: batch, maxLength: tokens + (step === 'decode' ? 1 : 0) },
        ...storedAs(options, model),
        ...routed,
        ...(options.microBatches !== undefined && { microBatches: options.microBatches }),
      };
      requireRoom(layout, sizing, traitsOf(gpu), freeBytes(gpu));
      const engine = await createEngine(gpu, { layout, weights: model, ...sizing });
      const subject =
        step === 'decode'
          ? stepSubject(engine, requests(1), requests(tokens))
          : stepSubject(engine, requests(tokens));
      return readyOn(engine, subject, (microBatches) => ({
        ...{ what: 'step', step, batch, tokens, microBatches },
        ...modelFacts(options, model, layout),
      }));
    },
  };
}

function plannedGeneration(
  options: ProfileVerbOptions,
  model: Checkpoint,
  { layout, routed }: Where,
  prompt: string,
): Planned {
  const { tokens = DEFAULTS.added } = options;
  const promptIds = tokenizerOf(model).encode(prompt);
  const maxLength = promptIds.length + tokens;
  const { maxPositions } = model.config;
  if (maxLength > maxPositions) {
    throw new ConfigError(
      `${promptIds.length} prompt tokens and ${tokens} more make ${maxLength} positions; the model was trained for ` +
        `${maxPositions}. Shorten one of them by ${maxLength - maxPositions}.`,
    );
  }
  return {
    ready: async (gpu) => {
      const sizing = {
        ...{ maxSequences: 1, maxLength, maxStepTokens: promptIds.length },
        ...storedAs(options, model),
        ...routed,
      };
      requireRoom(layout, sizing, traitsOf(gpu), freeBytes(gpu));
      const engine = await createEngine(gpu, { layout, weights: model, ...sizing });
      return readyOn(engine, generationSubject(engine, { promptIds, tokens }), () => ({
        ...{ what: 'generate', promptTokens: promptIds.length, tokens },
        ...modelFacts(options, model, layout),
      }));
    },
  };
}

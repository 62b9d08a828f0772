/**
 * The engine: a model on the ranks of any valid layout. A step takes new tokens of some sequences through the
 * pipeline in micro-batches and gives logits; KV caches stay on the ranks.
 */
import { groupTable } from '../collectives/groups.ts';
import { oneDeviceTransport } from '../collectives/one-device.ts';
import type { Transport } from '../collectives/transport.ts';
import { ConfigError } from '../core/errors.ts';
import { requireFields, requireGiven, requireGpu, requireOptions, type Fields } from '../core/given.ts';
import { range, sum } from '../core/math.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { ropeTable, ropeTableOf } from '../kernels/attention/rope.ts';
import type { Layout } from '../layout/layout.ts';
import type { MoeConfig, WeightSource } from '../model/config.ts';
import type { WeightKind } from '../model/stored-weights.ts';
import { PipelineEnds } from './ends.ts';
import { Pipeline } from './pipeline.ts';
import { type LayerKernels, prepareLayer, traitsOf } from './layer/kernels.ts';
import { attentionWords } from '../memory/arrays.ts';
import { type EnginePlan, type EngineSizing, planEngine } from '../memory/engine-plan.ts';
import { deviceMemory, fullestRank, totalBytes } from '../memory/lists.ts';
import { Making } from './making.ts';
import { readAccount, type RoutingAccount, uploadPlaces } from './admission.ts';
import { Stage } from './layer/stage.ts';
import { stageGroups } from './groups.ts';
import type { StageContext } from './layer/context.ts';
import { tellStep } from './step/observe.ts';
import type { StepOptions, StepResult } from './step/step.ts';
import type { Request } from './step/plan.ts';
import { Turns } from './turns.ts';
import { WeightStore } from './weight-store.ts';

export type { RoutingAccount, StepOptions, StepResult };

/** What an engine is made of: layout, weights, and the sizes to reserve memory for. */
export interface EngineOptions extends EngineSizing {
  readonly layout: Layout;
  readonly weights: WeightSource;
  /** By default all ranks on this one device. */
  readonly transport?: Transport;
  /** Calls the making off, which then holds nothing; steps of an engine that was made take no notice of it. */
  readonly signal?: AbortSignal;
  /** Told what is at hand while it is made: 'kernels: 12 of 31'. */
  readonly say?: (text: string) => void;
}

/** Device memory of an engine, all in bytes. */
export interface MemoryReport {
  /** What the layout predicts, bytes; equal to what lives on the device when the engine has been made. */
  readonly predictedBytes: number;
  readonly liveBytes: number;
  /** Live bytes of the whole device: weights, kv-cache, staging, communication, workspace, tables. */
  readonly byPurpose: Readonly<Record<string, number>>;
  /** What the fullest rank would hold if each had a device of its own, bytes. */
  readonly fullestRankBytes: number;
}

/** What takes an engine's sequences further. */
export interface Steps {
  /**
   * Steps run one after the other in the order of the calls, so none has to be awaited before the next is asked for.
   * @throws ConfigError for requests that do not fit the limits the engine was made with, or when it was destroyed.
   * @throws DeviceError when the device fails or is lost.
   * @throws CancelledError when the step was called off, at work or while it waited for its turn.
   */
  forward(requests: readonly Request[], options?: StepOptions): Promise<StepResult>;
  /** Forgets all sequences. @throws ConfigError while steps are under way, or when the engine was destroyed. */
  reset(): void;
}

/** A model on the ranks of a layout, with its weights and KV caches on the device until `destroy`. */
export interface Engine extends Steps {
  readonly gpu: Gpu;
  readonly layout: Layout;
  readonly config: MoeConfig;
  readonly memory: MemoryReport;
  /**
   * What became of the rows since the engine was made: undefined unless it has a placement, a capacity or a balancer. It has a
   * turn as steps have: those that were asked for before count, those after do not.
   * @throws ConfigError when the router has given a score that is no finite number, with its token, or when the engine was destroyed.
   */
  routing(): Promise<RoutingAccount | undefined>;
  /** Tokens a sequence has so far. */
  lengthOf(sequence: number): number;
  /**
   * Has the engine for a run of steps: it begins when all that was asked for before has ended, and what others ask for
   * meanwhile waits for its end. Within it only `steps` go on: awaiting the engine itself there would never end.
   * @param signal calls the run off as long as it waits for its turn; later its own steps have to be given it.
   */
  exclusively<T>(run: (steps: Steps) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Frees everything. Steps that wait are refused; one that is under way still gives its result. */
  destroy(): void;
}

/** The caller may change them before their turn comes. */
function copied(requests: readonly Request[]): Request[] {
  requireGiven('The requests', requests, 'list');
  return requests.map((request) => {
    requireFields('A request', request, { sequence: 'number', ids: 'list' });
    return { sequence: request.sequence, ids: [...request.ids] };
  });
}

/**
 * Uploads the weights and compiles the kernels of all ranks. The caller destroys the engine.
 * @throws ConfigError when the model does not fit the limits or the adapter.
 * @throws CancelledError when the making was called off.
 */
export async function createEngine(device: Gpu, options: EngineOptions): Promise<Engine> {
  requireGpu(device);
  requireFields('The engine', options, {
    layout: 'record',
    weights: 'record',
    maxSequences: 'number',
    maxLength: 'number',
    signal: 'signal?',
    say: 'function?',
  });
  requireFields('The layout', options.layout, { spec: 'record', model: 'record', group: 'function' });
  requireFields('The weights', options.weights, { config: 'record', get: 'function' });
  const { layout: given, weights: source, maxLength, say = () => undefined } = options;
  if (source.config.numLayers !== given.model.numLayers || source.config.modelDim !== given.model.modelDim) {
    throw new ConfigError(
      `The layout was planned for ${given.model.name}, the weights are of ${source.config.name}.`,
    );
  }
  // Others may make and destroy buffers meanwhile.
  const gpu = device.accounted();
  const traits = traitsOf(gpu);
  const plan = planEngine(given, options, traits);
  const { layout, sizes, microBatches, dtypes, weightDtype } = plan;
  const scratchWords = attentionWords(sizes, traits);
  const store = new WeightStore(gpu, source);
  const owned: { destroy(): void }[] = [store];
  const own = <T extends { destroy(): void }>(thing: T): T => {
    owned.push(thing);
    return thing;
  };
  const release = (): void => {
    for (const thing of owned.splice(0).reverse()) thing.destroy();
  };
  const making = new Making(gpu, options.signal);
  const counted = <T>(what: string, work: () => Promise<T>): Promise<T> =>
    gpu.pipelines.watching(work, (done, asked) => say(`${what}: ${done} of ${asked}`)).then((r) => r.result);
  try {
    const transport = options.transport ?? (await oneDeviceTransport(making.gpu));
    const layerKernels = (wide?: ReadonlySet<WeightKind>): Promise<LayerKernels> =>
      counted('kernels of the layers', () => prepareLayer(making.gpu, plan, transport, wide));
    const context: StageContext & { kernels: LayerKernels } = {
      gpu,
      layout,
      sizes,
      plan,
      weightDtype,
      kernels: await layerKernels(),
      transport,
      weights: store,
      ropeTable: own(gpu.upload('tables/rope', tableOf(layout.model, maxLength))),
      attentionScratch:
        scratchWords === 0 ? undefined : own(gpu.buffer('workspace/attention-parts', 4 * scratchWords)),
      places: plan.admission && own(uploadPlaces(gpu, layout, plan.admission)),
      tpGroups: own(groupTable(gpu, 'tables/tp-groups', stageGroups(layout, 'tp'))),
      epGroups: own(groupTable(gpu, 'tables/ep-groups', stageGroups(layout, 'ep'))),
    };
    const stages: Stage[] = [];
    for (const index of range(layout.spec.pp)) {
      say(`weights of stage ${index + 1} of ${layout.spec.pp}`);
      const stage = await Stage.create(context, index, source, dtypes, () => making.rest());
      stages.push(own(stage));
    }
    // Only now are all scales known. Few models have any for which others are needed.
    const wide = store.wideKinds();
    if (wide.size > 0) context.kernels = await layerKernels(wide);
    const ends = own(
      await counted('kernels of the ends', () => PipelineEnds.create(making.gpu, plan, source, store)),
    );
    await store.written();
    const pipeline = own(
      new Pipeline(context, stages, ends, {
        prepared: microBatches,
        fixed: options.microBatches !== undefined,
      }),
    );
    const memory: MemoryReport = {
      predictedBytes: totalBytes(deviceMemory(plan, traits)),
      liveBytes: gpu.ledger.bytes,
      byPurpose: device.ledger.byPurpose(),
      fullestRankBytes: fullestRank(plan, traits).bytes,
    };
    return {
      gpu: device,
      layout,
      config: layout.model,
      memory,
      lengthOf: (sequence) => pipeline.lengthOf(sequence),
      ...stepsInTurn(gpu, pipeline, layout.model, accountOf(gpu, plan, stages)),
      destroy: () => {
        const pending = pipeline.close();
        if (pending === undefined) release();
        else void pending.then(release, release);
      },
    };
  } catch (error) {
    await store.ended();
    release();
    throw error;
  } finally {
    making.end();
  }
}

const STEP_OPTIONS: Fields = {
  ...{
    logits: 'string?',
    experts: 'flag?',
    hidden: 'flag?',
    timing: 'string?',
    apart: 'flag?',
    timesLater: 'flag?',
    signal: 'signal?',
  },
};
/** cos and sin of every position, by the angles of the model at this length. */
function tableOf({ headDim, ropeTheta, rope }: MoeConfig, maxLength: number): Float32Array {
  if (rope === undefined) return ropeTable(maxLength, headDim, ropeTheta);
  return ropeTableOf(maxLength, rope.long !== undefined && maxLength > rope.long.beyond ? rope.long : rope);
}

/** A pipeline's steps in turn, and runs of them that have turns of their own. */
function stepsInTurn(
  gpu: Gpu,
  pipeline: Pipeline,
  config: MoeConfig,
  account: Engine['routing'],
): Pick<Engine, 'forward' | 'reset' | 'exclusively' | 'routing'> {
  const turns = new Turns();
  const stepsOf = (own: Turns): Steps => ({
    forward: async (requests, options = {}) => {
      requireOptions('A step', options, STEP_OPTIONS);
      const asked = copied(requests);
      return own.take(async () => {
        const result = await pipeline.forward(asked, options);
        const waiting = turns.waiting + (own === turns ? 0 : own.waiting);
        tellStep(gpu, { config, tokens: sum(asked.map(({ ids }) => ids.length)), waiting, result });
        return result;
      }, options.signal);
    },
    reset: () => {
      if (own.busy) {
        throw new ConfigError('Steps are under way: await them before the sequences are reset.');
      }
      pipeline.reset();
    },
  });
  return {
    ...stepsOf(turns),
    exclusively: (run, signal) => turns.take(() => run(stepsOf(new Turns())), signal),
    routing: () =>
      turns.take(() => {
        pipeline.requireOpen();
        return account();
      }),
  };
}

function accountOf(gpu: Gpu, { sizes, admission }: EnginePlan, stages: readonly Stage[]): Engine['routing'] {
  if (admission === undefined) return () => Promise.resolve(undefined);
  return () =>
    readAccount(
      gpu,
      sizes,
      stages.map(({ workspace }) => workspace),
    );
}

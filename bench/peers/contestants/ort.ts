/**
 * ONNX Runtime in this process: its WebGPU provider, with a Dawn of its own on the same driver, or its CPU provider.
 * Weights are constants of the model, inputs are put on the adapter once, outputs stay there: a run moves nothing.
 */
import { createRequire } from 'node:module';
import { toF64 } from '../../../src/tensor/tensor.ts';
import type { Contestant, Outputs } from './contestant.ts';
import { onnxModel, type OnnxGraph, type OnnxValue, type OrtType } from './onnx-model.ts';

type OrtData = Float32Array | Uint8Array | Int32Array | BigInt64Array | Uint16Array;

/** The part of the package's interface that is used here: its types are not there before it is installed. */
interface OrtTensor {
  readonly type: OrtType;
  readonly dims: readonly number[];
  readonly location: string;
  readonly data: OrtData;
  dispose(): void;
}
type Feeds = Record<string, OrtTensor>;
interface OrtSession {
  run(feeds: Feeds, fetches: Readonly<Record<string, OrtTensor | null>>): Promise<Feeds>;
  release(): Promise<void>;
}
interface Ort {
  readonly Tensor: new (type: OrtType, data: OrtData, shape: readonly number[]) => OrtTensor;
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> };
  readonly env: { logLevel: string };
}

export type Provider = 'webgpu' | 'cpu';

export interface OrtInput extends OnnxValue {
  readonly data: OrtData;
  /** An input that the operator wants on the host: a length, a scalar. */
  readonly onHost?: boolean;
}

/** A graph with the data of its inputs. */
export interface OrtJob extends Omit<OnnxGraph, 'inputs'> {
  readonly inputs: readonly OrtInput[];
  /** Outputs that are the same memory as an input: a KV cache that grows in place. Output by input. */
  readonly inPlace?: Readonly<Record<string, string>>;
  /** Outputs to compare, by the row's names; all of them under their own when absent. */
  readonly compared?: Readonly<Record<string, string>>;
}

export class OrtRuntime {
  readonly #ort: Ort;
  #fence: { session: OrtSession; feeds: Feeds } | undefined;

  constructor() {
    this.#ort = createRequire(import.meta.url)('onnxruntime-node') as Ort;
    this.#ort.env.logLevel = 'error';
  }

  /** @throws what ONNX Runtime says when the provider has no such operator. */
  async enter(provider: Provider, job: OrtJob): Promise<Contestant> {
    const session = await this.#session(provider, job);
    const feeds: Feeds = {};
    const sources: OrtSession[] = [];
    for (const input of job.inputs) {
      if (provider === 'cpu' || input.onHost === true) {
        feeds[input.name] = this.#tensor(input);
        continue;
      }
      const placed = await this.#resident(input);
      feeds[input.name] = placed.tensor;
      sources.push(placed.session);
    }
    const fetches = job.outputs.map(({ name }) => [name, feeds[job.inPlace?.[name] ?? ''] ?? null] as const);
    return new OrtContestant({
      session: session.session,
      notes: session.notes,
      feeds,
      sources,
      fetches: Object.fromEntries(fetches),
      compared: job.compared ?? Object.fromEntries(job.outputs.map((output) => [output.name, output.name])),
      read: (tensor) => this.#read(tensor),
      finish: provider === 'cpu' ? () => Promise.resolve() : () => this.finish(),
    });
  }

  /** All that WebGPU sessions have submitted is done when 4 bytes come back, since they share a queue. */
  async finish(): Promise<void> {
    this.#fence ??= await this.#makeFence();
    const { session, feeds } = this.#fence;
    const { y } = await session.run(feeds, { y: null });
    y?.dispose();
  }

  /** Every node on the provider if it can, with the rest on the host's, as users get it, if it cannot. */
  async #session(provider: Provider, job: OrtJob): Promise<{ session: OrtSession; notes: string[] }> {
    const model = onnxModel(job);
    const { InferenceSession } = this.#ort;
    if (provider === 'cpu') {
      const session = await InferenceSession.create(model, {
        executionProviders: ['cpu'],
        // Its threads look for work within a run, not after it, when the next contestant has its turn.
        extra: { session: { force_spinning_stop: '1' } },
      });
      return { session, notes: [] };
    }
    const options = (extra: object): object => ({
      executionProviders: [{ name: 'webgpu' }],
      preferredOutputLocation: 'gpu-buffer',
      extra: { session: { ...extra, intra_op: { allow_spinning: '0' } } },
    });
    try {
      return {
        session: await InferenceSession.create(model, options({ disable_cpu_ep_fallback: '1' })),
        notes: [],
      };
    } catch {
      const session = await InferenceSession.create(model, options({}));
      return { session, notes: ['some nodes run on the CPU provider: WebGPU does not offer them'] };
    }
  }

  #tensor({ type, data, shape }: OrtInput): OrtTensor {
    return new this.#ort.Tensor(type, data, shape);
  }

  /** A tensor on the adapter, and the session that made it: released first, the tensor's end would end the process. */
  async #resident(input: OrtInput): Promise<{ tensor: OrtTensor; session: OrtSession }> {
    return this.#copy(this.#tensor(input), 'gpu-buffer');
  }

  /** `getData()` of a tensor on the adapter ends the process in native code (1.30), so a session brings it here. */
  async #read(source: OrtTensor): Promise<OrtData> {
    if (source.location === 'cpu') return source.data;
    const { tensor, session } = await this.#copy(source, 'cpu');
    await session.release();
    return tensor.data;
  }

  /** The output of a session that does nothing but say where its output shall be. */
  async #copy(source: OrtTensor, preferredOutputLocation: 'cpu' | 'gpu-buffer') {
    const session = await this.#ort.InferenceSession.create(copyModel(source.type, source.dims), {
      executionProviders: [{ name: 'webgpu' }],
      preferredOutputLocation,
    });
    const { y: tensor } = await session.run({ x: source }, { y: null });
    if (tensor === undefined) throw new Error('ONNX Runtime gave no copy of a tensor');
    return { tensor, session };
  }

  async #makeFence(): Promise<{ session: OrtSession; feeds: Feeds }> {
    const value = { name: 'x', type: 'float32', shape: [1], data: Float32Array.of(0) } as const;
    const graph = {
      nodes: [{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'] }],
      inputs: [value],
      outputs: [{ ...value, name: 'y' }],
    };
    const session = await this.#ort.InferenceSession.create(onnxModel(graph), {
      executionProviders: [{ name: 'webgpu' }],
    });
    return { session, feeds: { x: (await this.#resident(value)).tensor } };
  }
}

function copyModel(type: OrtType, shape: readonly number[]): Uint8Array {
  return onnxModel({
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
    inputs: [{ name: 'x', type, shape }],
    outputs: [{ name: 'y', type, shape }],
  });
}

interface Entry {
  readonly session: OrtSession;
  readonly notes: readonly string[];
  readonly feeds: Feeds;
  /** The sessions that made the inputs on the adapter. */
  readonly sources: readonly OrtSession[];
  /** Where outputs go; null leaves it to the session. */
  readonly fetches: Readonly<Record<string, OrtTensor | null>>;
  readonly compared: Readonly<Record<string, string>>;
  readonly finish: () => Promise<void>;
  readonly read: (tensor: OrtTensor) => Promise<OrtData>;
}

class OrtContestant implements Contestant {
  readonly #entry: Entry;
  #last: Feeds = {};

  constructor(entry: Entry) {
    this.#entry = entry;
  }

  get notes(): readonly string[] {
    return this.#entry.notes;
  }

  async run(): Promise<void> {
    this.#drop();
    const { session, feeds, fetches } = this.#entry;
    this.#last = await session.run(feeds, fetches);
  }

  finish(): Promise<void> {
    return this.#entry.finish();
  }

  async outputs(): Promise<Outputs> {
    const outputs = new Map<string, Float64Array>();
    for (const [name, source] of Object.entries(this.#entry.compared)) {
      const tensor = this.#last[source];
      if (tensor === undefined) throw new Error(`ONNX Runtime gave no output ${source}`);
      outputs.set(name, numbersOf(tensor.type, await this.#entry.read(tensor)));
    }
    return outputs;
  }

  async destroy(): Promise<void> {
    this.#drop();
    const { feeds, session, sources } = this.#entry;
    for (const tensor of Object.values(feeds)) tensor.dispose();
    for (const owner of [session, ...sources]) await owner.release();
  }

  #drop(): void {
    const kept = new Set(Object.values(this.#entry.fetches));
    for (const tensor of Object.values(this.#last)) if (!kept.has(tensor)) tensor.dispose();
    this.#last = {};
  }
}

function numbersOf(type: OrtType, data: OrtData): Float64Array {
  if (data instanceof BigInt64Array) return Float64Array.from(data, Number);
  if (type === 'float16') return toF64({ dtype: 'f16', shape: [data.length], data: data });
  return Float64Array.from(data);
}

/** TensorFlow.js on the same Dawn and adapter as this project, through the `navigator.gpu` that it looks for. */
import { createRequire } from 'node:module';
import type { OpenAdapter } from '../../../src/platform/platform.ts';
import type { Contestant } from './contestant.ts';

/** The part of the packages' interface that is used here: their types are not there before they are installed. */
export interface TfTensor {
  data(): Promise<Float32Array | Int32Array>;
  dispose(): void;
}
interface WebGpuBackend {
  readonly queue: GPUQueue;
  endComputePassEncoder(): void;
  submitQueue(): void;
}
export interface Tf {
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
  softmax(logits: TfTensor): TfTensor;
  topk(x: TfTensor, k: number): { values: TfTensor; indices: TfTensor };
  setBackend(name: string): Promise<boolean>;
  backend(): WebGpuBackend;
}

export async function openTfjs({ gpu }: OpenAdapter): Promise<Tf> {
  const { globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const navigator: object = { gpu, userAgent: 'node' };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true, writable: true });
  const load = createRequire(import.meta.url);
  const tf = load('@tensorflow/tfjs-core') as Tf;
  load('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js does not start its WebGPU backend');
  return tf;
}

export interface TfJob {
  readonly inputs: readonly (readonly [values: Float32Array, shape: readonly number[]])[];
  readonly compute: (tf: Tf, inputs: readonly TfTensor[]) => Readonly<Record<string, TfTensor>>;
}

/** Outputs by the row's names; what a computation makes on the way is the caller's to dispose of. */
export async function enterTfjs(tf: Tf, job: TfJob): Promise<Contestant> {
  const inputs = job.inputs.map(([values, shape]) => tf.tensor(values, shape));
  const backend = tf.backend();
  let last: Readonly<Record<string, TfTensor>> = {};
  const drop = (): void => {
    for (const tensor of Object.values(last)) tensor.dispose();
    last = {};
  };
  await Promise.resolve();
  return {
    notes: [],
    run: () => {
      drop();
      last = job.compute(tf, inputs);
      backend.endComputePassEncoder();
      backend.submitQueue();
    },
    finish: async () => {
      await backend.queue.onSubmittedWorkDone();
    },
    outputs: async () => {
      const outputs = new Map<string, Float64Array>();
      for (const [name, tensor] of Object.entries(last)) {
        outputs.set(name, Float64Array.from(await tensor.data()));
      }
      return outputs;
    },
    destroy: () => {
      drop();
      for (const tensor of inputs) tensor.dispose();
    },
  };
}

/** Who wants to know of every step on a device, whichever engine runs it. */
import type { Gpu } from '../../gpu/gpu.ts';
import type { MoeConfig } from '../../model/config.ts';
import type { StepResult } from './step.ts';

export interface ObservedStep {
  /** Of its engine's model. */
  readonly config: MoeConfig;
  /** New tokens of all its sequences. */
  readonly tokens: number;
  /** Steps that wait for their turn on its engine. */
  readonly waiting: number;
  readonly result: StepResult;
}

/** Called when a step has its result. What it throws is the step's failure. */
export type StepObserver = (step: ObservedStep) => void;

/** By device, which several `Gpu` may be views of. */
const observers = new WeakMap<GPUDevice, Set<StepObserver>>();

/** @returns its end. */
export function observeSteps(gpu: Gpu, observer: StepObserver): () => void {
  const all = observers.get(gpu.device) ?? new Set();
  observers.set(gpu.device, all.add(observer));
  return () => void all.delete(observer);
}

export function tellStep(gpu: Gpu, step: ObservedStep): void {
  for (const observer of observers.get(gpu.device) ?? []) observer(step);
}

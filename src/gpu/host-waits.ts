/**
 * Counts the waits of the host for its device where they begin: at the device itself, so that one that goes past our own
 * functions counts too. A wait is a mapping, the end of submitted work, an error scope, or a pipeline that is compiled.
 */
const OF_DEVICE = ['createComputePipeline', 'createComputePipelineAsync', 'popErrorScope'] as const;

export class HostWaits {
  #count = 0;
  readonly #told: (work: Promise<unknown>) => void;

  /** @param told of each wait that does not end at once. */
  constructor(device: GPUDevice, told: (work: Promise<unknown>) => void = () => undefined) {
    this.#told = told;
    for (const name of OF_DEVICE) this.#watch(device, name);
    this.#watch(device.queue, 'onSubmittedWorkDone');
    replace(device, 'createBuffer', (original) => (...args) => {
      const buffer = original.apply(device, args) as GPUBuffer;
      this.#watch(buffer, 'mapAsync');
      return buffer;
    });
  }

  get count(): number {
    return this.#count;
  }

  #watch<T extends object>(target: T, name: keyof T): void {
    replace(target, name, (original) => (...args) => {
      this.#count += 1;
      const result = original.apply(target, args);
      if (result instanceof Promise) this.#told(result);
      return result;
    });
  }
}

type Method = (...args: unknown[]) => unknown;

function replace<T extends object>(target: T, name: keyof T, wrap: (original: Method) => Method): void {
  const original = target[name];
  if (typeof original !== 'function') return;
  const value = wrap(original as Method);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
}

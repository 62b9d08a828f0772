/** Devices on which one shader has another text, and what the cases compile there. */
import { createHash, type Hash } from 'node:crypto';
import { openGpu, type Gpu } from '../../../src/gpu/gpu.ts';
import type { KernelDefinition } from '../../../src/gpu/kernel.ts';
import { nodePlatform } from '../../../src/platform/node/node.ts';
import type { KernelKind } from '../../../src/platform/platform.ts';
import { kernelCases } from '../../../src/validate/cases.ts';
import type { KernelCase } from '../../../src/validate/kernel-case.ts';
import { textOf } from '../../hygiene/source-files.ts';
import { stretchGrids } from '../../kernels/stretched.ts';
import type { Use } from './messages.ts';

const platform = nodePlatform();

/** A device of each kind that is given one shader with another text. Kernels are compiled once, whatever the text of others. */
export class Devices {
  readonly #open = new Map<KernelKind, Gpu>();
  #path: string | undefined;
  #text = '';
  /** Shaders that were asked for, and what is compiled in; nothing is compiled meanwhile. */
  #noted: Record<string, string> | undefined;

  async of(kind: KernelKind): Promise<Gpu> {
    const open = this.#open.get(kind);
    if (open !== undefined) return open;
    const gpu = await openGpu({ ...platform, kernelKind: kind });
    stretchGrids(gpu);
    const compile = gpu.kernel.bind(gpu);
    const kernel = (definition: KernelDefinition, spec: object = {}): Promise<unknown> => {
      if (this.#noted === undefined) {
        return compile(
          definition.shader === this.#path ? { ...definition, text: this.#text } : definition,
          spec,
        );
      }
      const before = this.#noted[definition.shader] ?? '';
      this.#noted[definition.shader] = before + JSON.stringify({ ...definition.spec, ...spec });
      return Promise.resolve({ definition, spec: { ...definition.spec, ...spec }, compiled: {} });
    };
    gpu.kernel = kernel as Gpu['kernel'];
    this.#open.set(kind, gpu);
    return gpu;
  }

  /** Undefined: all shaders as they are. */
  swap(path: string | undefined, text = ''): void {
    [this.#path, this.#text] = [path, text];
  }

  /** What every case compiles with every variant. */
  async survey(kinds: readonly KernelKind[]): Promise<Use[]> {
    const uses: Use[] = [];
    for (const kind of kinds) {
      const gpu = await this.of(kind);
      for (const kernelCase of kernelCases) {
        const { family, name } = kernelCase;
        const { flops, bytes } = kernelCase.cost();
        const given = digestOf(kernelCase);
        for (const variant of kernelCase.variants(gpu)) {
          const shaders = await this.#shadersOf(gpu, kernelCase, variant);
          const pair = { kind, family, name, variant };
          const all = [HARNESS(), gpu.facts, pair, shaders, given];
          const id = createHash('sha256').update(JSON.stringify(all)).digest('hex').slice(0, 12);
          uses.push({ ...pair, shaders, work: flops + bytes, id });
        }
      }
    }
    return uses;
  }

  async #shadersOf(gpu: Gpu, kernelCase: KernelCase, variant: string): Promise<Use['shaders']> {
    const noted = (this.#noted = {});
    try {
      (await kernelCase.prepare(gpu, variant)).destroy();
    } finally {
      this.#noted = undefined;
    }
    return noted;
  }
}

/** How a case is run: what is around its buffers, and how much larger its grids are. */
const HARNESS = (): string =>
  ['src/validate/run-case.ts', 'src/ops/guards.ts', 'test/kernels/stretched.ts'].map(textOf).join();

/** Of what a case gives; of one that no op has, of what it expects. */
function digestOf({ inputs, reference }: KernelCase): string {
  const hash = createHash('sha256');
  if (inputs === undefined) {
    for (const [name, { values, shape }] of reference()) add(hash, name, shape, values);
    return hash.digest('hex');
  }
  const { tensors, attrs } = inputs();
  hash.update(JSON.stringify([...attrs]));
  for (const [name, { dtype, shape, data }] of tensors) add(hash, `${name} ${dtype}`, shape, data);
  return hash.digest('hex');
}

function add(hash: Hash, name: string, shape: readonly number[], data: ArrayBufferView): void {
  hash.update(`\0${name} ${shape.join()}\0`);
  hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

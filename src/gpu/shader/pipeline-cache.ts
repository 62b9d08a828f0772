/** Compiled kernels by shader and spec. A failure is reported with the source line and then forgotten. */
import { ConfigError, invariant } from '../../core/errors.ts';
import type { DeviceState } from '../device-state.ts';
import type { KernelDefinition } from '../kernel.ts';
import { reflectShader, type ShaderInterface } from './reflect.ts';
import { specialise, type Spec } from './specialise.ts';
import { SHADER_STAGE } from '../flags.ts';

export interface CompiledKernel {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly storageLayout: GPUBindGroupLayout;
  /** Identifies `storageLayout`, equal for kernels that may share a bind group. */
  readonly layoutKey: string;
  readonly shader: ShaderInterface;
  /** Host time of compilation, ns; reported apart from run times. */
  readonly compileNs: number;
  /** When it began, by the host's clock: compilations overlap. */
  readonly compileBeganNs: number;
}

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #state: DeviceState;
  readonly #source: (path: string) => string;
  readonly #now: () => number;
  readonly #compiled = new Map<string, Promise<CompiledKernel>>();
  readonly #watchers = new Set<(entry: Promise<CompiledKernel>) => void>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly paramsLayout: GPUBindGroupLayout;

  constructor(device: GPUDevice, state: DeviceState, source: (path: string) => string, now: () => number) {
    this.#device = device;
    this.#state = state;
    this.#source = source;
    this.#now = now;
    this.paramsLayout = device.createBindGroupLayout({
      label: 'params',
      entries: [
        {
          binding: 0,
          visibility: SHADER_STAGE.COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true },
        },
      ],
    });
  }

  get size(): number {
    return this.#compiled.size;
  }

  /**
   * @throws ConfigError with the compiler's message when the shader does not compile for this adapter.
   * @throws DeviceError when the device is lost or closed.
   */
  get(kernel: KernelDefinition, spec: Spec): Promise<CompiledKernel> {
    const label = `${kernel.shader} ${JSON.stringify(Object.entries(spec).sort(([a], [b]) => (a < b ? -1 : 1)))}`;
    // Two texts may go by one name.
    const key = kernel.text === undefined ? label : `${label}\n${kernel.text}`;
    let entry = this.#compiled.get(key);
    if (entry === undefined) {
      entry = this.#compile(kernel, spec, label);
      this.#compiled.set(key, entry);
      entry.catch(() => this.#compiled.delete(key));
    }
    for (const watch of this.#watchers) watch(entry);
    return entry;
  }

  /**
   * Runs `work` and gives the kernels that were asked for meanwhile, compiled now or before.
   * @param told how many of those that were asked for so far are there, as each of them comes.
   */
  async watching<T>(
    work: () => Promise<T>,
    told?: (done: number, asked: number) => void,
  ): Promise<{ result: T; kernels: CompiledKernel[] }> {
    const asked = new Set<Promise<CompiledKernel>>();
    let done = 0;
    const watch = (entry: Promise<CompiledKernel>): void => {
      if (asked.has(entry)) return;
      asked.add(entry);
      if (told === undefined) return;
      const come = (): void => {
        if (this.#watchers.has(watch)) told(++done, asked.size);
      };
      entry.then(come, () => undefined);
    };
    this.#watchers.add(watch);
    try {
      const result = await work();
      return { result, kernels: await Promise.all(asked) };
    } finally {
      this.#watchers.delete(watch);
    }
  }

  async #compile(kernel: KernelDefinition, spec: Spec, label: string): Promise<CompiledKernel> {
    const missing = (kernel.features ?? []).filter((f) => !this.#device.features.has(f));
    if (missing.length > 0) {
      throw new ConfigError(
        `${kernel.shader} needs the feature ${missing.join(', ')}, which this adapter does not offer. Choose another variant.`,
      );
    }
    const text = specialise(kernel.text ?? this.#source(kernel.shader), spec, kernel.shader);
    const began = this.#now();
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ label, code: text });
    const popped = this.#device.popErrorScope();
    const compiling = `Compiling ${kernel.shader}`;
    const [info, failure] = await this.#state.wait(
      compiling,
      Promise.all([module.getCompilationInfo(), popped]),
    );
    const errors = info.messages.filter((m) => m.type === 'error');
    if (errors.length > 0 || failure !== null) {
      throw new ConfigError(compileReport(kernel.shader, text, errors, failure?.message));
    }
    // After the compiler, whose messages give the place.
    const shader = reflectShader(text, kernel.shader);
    if (kernel.text === undefined) matchDefinition(kernel, shader);
    const layoutKey = shader.storage.map((s) => (s.readOnly ? 'r' : 'w')).join('');
    const storageLayout = this.#storageLayout(layoutKey);
    const layout = this.#device.createPipelineLayout({
      bindGroupLayouts: [storageLayout, this.paramsLayout],
    });
    const compute = { module, entryPoint: shader.entryPoint };
    const made = this.#device.createComputePipelineAsync({ label, layout, compute }).catch((error) => {
      throw new ConfigError(
        `${kernel.shader} with ${JSON.stringify(spec)} is refused by this adapter: ${String(error)}`,
      );
    });
    const pipeline = await this.#state.wait(compiling, made);
    const compileNs = this.#now() - began;
    return {
      name: kernel.shader,
      pipeline,
      storageLayout,
      layoutKey,
      shader,
      compileNs,
      compileBeganNs: began,
    };
  }

  #storageLayout(key: string): GPUBindGroupLayout {
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      layout = this.#device.createBindGroupLayout({
        label: `storage ${key}`,
        entries: [...key].map((access, binding) => ({
          binding,
          visibility: SHADER_STAGE.COMPUTE,
          buffer: { type: access === 'r' ? 'read-only-storage' : 'storage' },
        })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}

/** Of a kernel of ours: the definition and the shader name the same buffers and parameters, with the same access and types. */
function matchDefinition(kernel: KernelDefinition, shader: ShaderInterface): void {
  const declared = Object.entries(kernel.buffers).map(
    ([name, access]) => `${name}:${access === 'read' ? 'r' : 'w'}`,
  );
  const found = shader.storage.map((s) => `${s.name}:${s.readOnly ? 'r' : 'w'}`);
  invariant(
    declared.join() === found.join(),
    () => `${kernel.shader} binds ${found.join()} but its definition says ${declared.join()}`,
  );
  const params = Object.entries(kernel.params).map(([name, type]) => `${name}:${type}`);
  const fields = shader.params.map((p) => `${p.name}:${p.type}`);
  invariant(
    params.join() === fields.join(),
    () => `${kernel.shader} has parameters ${fields.join()} but its definition says ${params.join()}`,
  );
}

function compileReport(
  path: string,
  text: string,
  errors: readonly GPUCompilationMessage[],
  fallback?: string,
): string {
  const lines = text.split('\n');
  const reports = errors.map(
    (m) => `${path}:${m.lineNum}:${m.linePos}: ${m.message}\n    ${lines[m.lineNum - 1]?.trim() ?? ''}`,
  );
  return `The shader ${path} does not compile on this adapter.\n  ${reports.join('\n  ') || (fallback ?? '')}`;
}

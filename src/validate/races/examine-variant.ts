/**
 * Whether a variant of the user's own races: it computes small cases on the device, and each of its dispatches is
 * interpreted with the same parameters and inputs. An adapter may run lanes in an order that hides a missing barrier.
 */
import { at } from '../../core/math.ts';
import { type Bindable, viewOf } from '../../gpu/buffer.ts';
import { type Buffers, CommandList, type Params } from '../../gpu/command-list.ts';
import type { Kernel } from '../../gpu/context.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Grid, KernelDefinition } from '../../gpu/kernel.ts';
import { specialise } from '../../gpu/shader/specialise.ts';
import type { VariantFamily } from '../../kernels/registered/interfaces.ts';
import { registeredVariants } from '../../kernels/variants.ts';
import { subjectCase, type Subject, subjectText } from '../draw/subject.ts';
import { type Dispatch, examine, raceText } from './interpret.ts';

export interface RaceReport {
  /** What it computed meanwhile: 'matmul M=5 N=6 K=96'. */
  readonly subject: string;
  /** `unknown`: it was not examined, and `message` says why. */
  readonly state: 'none' | 'races' | 'unknown';
  readonly message: string;
}

/** Several steps of whatever a kernel loops over, and edges that are no multiple of a tile. */
const SUBJECTS: Readonly<Record<VariantFamily, readonly Subject[]>> = {
  matmul: [
    { op: 'matmul', dims: { M: 5, N: 6, K: 64 } },
    { op: 'matmul', dims: { M: 1, N: 6, K: 64 } },
    { op: 'matmul', dims: { M: 3, N: 2, K: 32 }, dtypes: { b: 'int4' } },
  ],
  'gate-topk': [
    { op: 'gate-topk', dims: { T: 2, E: 40 }, attrs: { k: 3 } },
    { op: 'gate-topk', dims: { T: 3, E: 16 }, attrs: { k: 2, score: 'sigmoid', renormalize: true } },
    { op: 'gate-topk', dims: { T: 2, E: 16 }, attrs: { k: 2, groups: 4, groups_kept: 2 } },
  ],
  'rms-norm': [
    { op: 'rms-norm', dims: { T: 3, D: 80 } },
    { op: 'rms-norm', dims: { T: 3, D: 80 }, with: ['residual'] },
  ],
  rope: [{ op: 'rope', dims: { B: 1, S: 3, H: 2, Dh: 16 } }],
  attention: [
    { op: 'attention', dims: { B: 1, Sq: 1, Skv: 40, Hq: 2, Hkv: 1, Dh: 8 } },
    { op: 'attention', dims: { B: 1, Sq: 5, Skv: 24, Hq: 1, Hkv: 1, Dh: 8 } },
  ],
  moe: [
    { op: 'moe', dims: { T: 9, E: 2, D: 32, F: 20 }, attrs: { k: 1 }, with: ['logits', 'w3'] },
    {
      op: 'moe',
      dims: { T: 9, E: 2, D: 32, F: 32 },
      attrs: { k: 1 },
      with: ['logits'],
      dtypes: { w1: 'f16', w2: 'f16' },
    },
  ],
};

/** A report for each small case that the variant can run; none when it refuses them all. */
export async function examineVariant(
  gpu: Gpu,
  family: VariantFamily,
  variant: string,
): Promise<RaceReport[]> {
  const reports: RaceReport[] = [];
  for (const subject of SUBJECTS[family]) {
    const kernelCase = subjectCase(subject);
    if (!kernelCase.variants(gpu).includes(variant)) continue;
    const own = registeredVariants(gpu, family).find(({ name }) => name === variant)?.kernel;
    const prepared = await kernelCase.prepare(gpu, variant);
    try {
      const commands = new NotedList(gpu, `examine ${variant}`, 'none');
      prepared.record(commands);
      commands.submit();
      const noted = commands.noted.filter(({ kernel }) => own === undefined || kernel.definition === own);
      for (const one of distinct(noted))
        reports.push({ subject: subjectText(subject), ...(await examineNoted(gpu, one)) });
    } finally {
      prepared.destroy();
    }
  }
  return reports;
}

interface Noted {
  readonly kernel: Kernel;
  readonly params: Readonly<Record<string, number>>;
  readonly buffers: Readonly<Record<string, Bindable>>;
  /** Where the device wrote it, if it did. */
  readonly grid: Grid | Bindable;
}

/** A list that remembers what was recorded. */
class NotedList extends CommandList {
  readonly noted: Noted[] = [];

  override dispatch<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
    grid: Grid = kernel.definition.grid(kernel.spec, params),
  ): void {
    this.noted.push({ kernel, params, buffers, grid });
    super.dispatch(kernel, params, buffers, grid);
  }

  override dispatchIndirect<D extends KernelDefinition>(
    kernel: Kernel<D>,
    params: Params<D>,
    buffers: Buffers<D>,
    args: Bindable,
  ): void {
    this.noted.push({ kernel, params, buffers, grid: args });
    super.dispatchIndirect(kernel, params, buffers, args);
  }
}

/** One of each compiled kernel. */
function distinct(noted: readonly Noted[]): Noted[] {
  return noted.filter(
    (one, i) => noted.findIndex(({ kernel }) => kernel.compiled === one.kernel.compiled) === i,
  );
}

async function examineNoted(gpu: Gpu, noted: Noted): Promise<Pick<RaceReport, 'state' | 'message'>> {
  const { definition, spec, compiled } = noted.kernel;
  const source = definition.text ?? gpu.platform.shaderSource(definition.shader);
  const text = specialise(source, spec, definition.shader);
  const words = async (source: Bindable): Promise<Uint32Array> => {
    const count = Math.floor(viewOf(source).byteLength / 4);
    return (await gpu.read(source, [count], 'u32')).data as Uint32Array;
  };
  const buffers = new Map<string, ArrayBuffer>();
  const computed = new Map<string, Uint32Array>();
  for (const { name, readOnly } of compiled.shader.storage) {
    const bound = noted.buffers[name];
    if (bound === undefined) continue;
    const data = await words(bound);
    if (readOnly) buffers.set(name, data.slice().buffer);
    else {
      computed.set(name, data);
      buffers.set(name, new ArrayBuffer(data.byteLength));
    }
  }
  const groups = Array.isArray(noted.grid)
    ? (noted.grid as unknown as Grid)
    : ([...(await words(noted.grid as Bindable)).slice(0, 3)] as unknown as Grid);
  const dispatch: Dispatch = { text, params: noted.params, buffers, groups };
  const found = examine(dispatch);
  if (found.state === 'unknown') return { state: 'unknown', message: found.reason };
  const [first] = found.races;
  if (first !== undefined) {
    const more = found.races.length === 1 ? '' : `, and ${found.races.length - 1} more`;
    return {
      state: 'races',
      message: `${definition.shader} races, with no barrier in between: ${raceText(first)}${more}`,
    };
  }
  const differs = [...computed].find(
    ([name, values]) => !agree(values, new Uint32Array(buffers.get(name) ?? [])),
  );
  if (differs !== undefined) {
    return { state: 'unknown', message: `interpreted, ${differs[0]} differs from what the device computes` };
  }
  return { state: 'none', message: 'no race' };
}

/** Bits, or floats to a thousandth of the largest: the interpreter computes in float64. */
function agree(computed: Uint32Array, interpreted: Uint32Array): boolean {
  const [a, b] = [computed, interpreted].map((words) => new Float32Array(words.buffer as ArrayBuffer));
  if (a === undefined || b === undefined) return false;
  const most = a.reduce((largest, value) => (Math.abs(value) > largest ? Math.abs(value) : largest), 0);
  return computed.every((word, i) => word === interpreted[i] || Math.abs(at(a, i) - at(b, i)) <= most / 1000);
}

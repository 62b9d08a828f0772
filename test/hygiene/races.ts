/** Runs a shader on the CPU, every lane of a workgroup in step, and finds accesses that no barrier puts in order. */
import { CallExpr, detectRaces, MemoryTracker, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { specialise, type Spec } from '../../src/gpu/shader/specialise.ts';

/** A dispatch small enough to interpret. */
export interface Scene {
  readonly shader: string;
  readonly spec?: Spec;
  /** By the member's name; the others are 0. */
  readonly params?: Readonly<Record<string, number>>;
  /** By the binding's name: its words, or its number of words, which are small numbers then. */
  readonly buffers: Readonly<Record<string, readonly number[] | number>>;
  readonly groups?: readonly [x: number, y: number, z: number];
}

/**
 * The interpreter keeps what a call returned at its place in the text, which all lanes share. Here each lane has its own,
 * else lanes that go in step read the value of the last one.
 */
let lane = 0;
const returned = new WeakMap<object, Map<number, unknown>>();
Object.defineProperty(MemoryTracker.prototype, 'currentInvocation', {
  get: () => lane,
  set: (invocation: number) => void (lane = invocation),
});
Object.defineProperty(CallExpr.prototype, 'cachedReturnValue', {
  get(this: CallExpr) {
    return returned.get(this)?.get(lane) ?? null;
  },
  set(this: CallExpr, value: unknown) {
    const ofLanes = returned.get(this) ?? new Map<number, unknown>();
    returned.set(this, ofLanes.set(lane, value));
  },
});

const BARRIER = /\b(?:workgroup|storage)Barrier\(\);/g;

/** The text as often as it has barriers, each time without another one. */
export function withoutEachBarrier(source: string): { line: number; text: string }[] {
  return [...source.matchAll(BARRIER)].map(({ index, 0: call }) => ({
    line: source.slice(0, index).split('\n').length,
    text: source.slice(0, index) + source.slice(index + call.length),
  }));
}

/** The interpreter enters a block and takes its first statement in one step, where it would not wait at a barrier. */
function withFirstSteps(source: string): string {
  return source.replace(/\{(\s*(?:workgroup|storage)Barrier\(\);)/g, '{ let firstStep = 0u;$1');
}

/** The interpreter passes pointers to any storage, but does not know how a shader says that it does. */
function withoutRequires(source: string): string {
  return source.replace(/^requires [^;]+;/gm, '');
}

/** Atomics as plain accesses, which are all that the detector follows; an addition does not race with another. */
function withoutAtomics(source: string): { text: string; additions: ReadonlySet<number> } {
  const text = source
    .replace(/atomic<(\w+)>/g, '$1')
    .replace(/atomicStore\(&([^,]+), ([^;]+)\);/g, '$1 = $2;')
    .replace(/atomicLoad\(&(\w+\[\w+\])\)/g, '$1')
    .replace(/atomicAdd\(&([^,]+), ([^;]+)\);/g, '$1 += $2;');
  if (/atomic\w+\(/.test(text)) throw new Error('an atomic that is not stored, loaded or added to by itself');
  const lines = source.split('\n');
  return {
    text,
    additions: new Set(lines.flatMap((line, i) => (line.includes('atomicAdd(') ? [i + 1] : []))),
  };
}

function wordsOf(isFloat: boolean, given: readonly number[] | number): ArrayBuffer {
  const values = typeof given === 'number' ? Array.from({ length: given }, (_, i) => i % 5) : given;
  return isFloat ? new Float32Array(values).buffer : new Uint32Array(values).buffer;
}

/** What races in `source`, the scene's shader or a copy of it with a fault: a line each, none twice. */
export function racesOf(source: string, scene: Scene): string[] {
  const { text, additions } = withoutAtomics(
    withFirstSteps(withoutRequires(specialise(source, scene.spec ?? {}, scene.shader))),
  );
  const reflection = new WgslReflect(text);
  const [main] = reflection.entry.compute;
  if (main === undefined) throw new Error(`${scene.shader} has no entry`);
  const used = new Set(main.resources.map(({ name }) => name));
  const bindings: Record<string, Record<string, unknown>> = {};
  const bind = (group: number, binding: number, value: unknown): void => {
    (bindings[group] ??= {})[binding] = value;
  };
  for (const { name, group, binding, type } of reflection.storage) {
    const given = scene.buffers[name];
    if (given === undefined && used.has(name)) throw new Error(`${scene.shader}: the scene lacks ${name}`);
    bind(group, binding, wordsOf(/<f32|vec4f/.test(type.getTypeName()), given ?? 4));
  }
  for (const { group, binding, size, members } of reflection.uniforms) {
    const view = new DataView(new ArrayBuffer(size));
    const given = new Map(Object.entries(scene.params ?? {}));
    for (const { name, offset, type } of members ?? []) {
      if (type.name === 'f32') view.setFloat32(offset, given.get(name) ?? 0, true);
      else view.setUint32(offset, given.get(name) ?? 0, true);
      given.delete(name);
    }
    if (given.size > 0) throw new Error(`${scene.shader} has no ${[...given.keys()].join(', ')}`);
    bind(group, binding, { uniform: view.buffer });
  }
  const { races, errors } = detectRaces(text, main.name, [...(scene.groups ?? [1, 1, 1])], bindings);
  if (errors.length > 0) throw new Error(`${scene.shader}: ${errors.join('; ')}`);
  const real = races.filter(({ a, b }) => !additions.has(a.line) || !additions.has(b.line));
  return [
    ...new Set(
      real.map(({ bufferId, a, b }) => `${bufferId}: ${a.kind} in line ${a.line}, ${b.kind} in ${b.line}`),
    ),
  ];
}

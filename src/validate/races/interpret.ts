/** Runs a shader on the CPU, every lane of a workgroup in step, and finds accesses that no barrier puts in order. */
import { CallExpr, detectRaces, MemoryTracker, WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { messageOf } from '../../core/errors.ts';
import { product } from '../../core/math.ts';

/** A dispatch small enough to interpret. */
export interface Dispatch {
  /** WGSL, specialised. */
  readonly text: string;
  /** By the member's name; the others are 0. */
  readonly params: Readonly<Record<string, number>>;
  /** By the binding's name: its bytes, which the shader writes to. */
  readonly buffers: ReadonlyMap<string, ArrayBuffer>;
  readonly groups: readonly [x: number, y: number, z: number];
}

export interface Race {
  /** A variable of the workgroup or a buffer. */
  readonly variable: string;
  readonly first: Access;
  readonly second: Access;
}

interface Access {
  readonly kind: 'read' | 'write';
  readonly line: number;
}

/** More take minutes. */
const MOST_LANES = 4096;

export type Examined =
  | { readonly state: 'examined'; readonly races: readonly Race[] }
  /** What of the shader the interpreter does not know. */
  | { readonly state: 'unknown'; readonly reason: string };

/** Each pair of lines once for each variable. */
export function examine(dispatch: Dispatch): Examined {
  const plain = withoutAtomics(withFirstSteps(withoutRequires(dispatch.text)));
  const [, enabled] = /^\s*enable\s+([^;]+);/m.exec(dispatch.text) ?? [];
  if (enabled !== undefined) return unknown(`it enables ${enabled}, which the interpreter does not know`);
  if (plain === undefined)
    return unknown('it has an atomic that is not stored, loaded or added to by itself');
  const text = withElements(plain.text);
  const { additions } = plain;
  try {
    const reflection = new WgslReflect(text);
    const [main] = reflection.entry.compute;
    if (main === undefined) return unknown('it has no entry point');
    const lanes = product(dispatch.groups) * product(main.workgroupSize ?? []);
    if (lanes > MOST_LANES) {
      return unknown(`its ${lanes} invocations are more than the ${MOST_LANES} that are interpreted`);
    }
    const { races, errors } = inOwnLanes(() =>
      detectRaces(text, main.name, [...dispatch.groups], bindingsOf(reflection, dispatch)),
    );
    if (errors[0] !== undefined) return unknown(errors[0]);
    const real = races.filter(({ a, b }) => !additions.has(a.line) || !additions.has(b.line));
    const found = new Map<string, Race>();
    for (const { bufferId: variable, a, b } of real) {
      const race = { variable, first: accessOf(a), second: accessOf(b) };
      found.set(JSON.stringify(race), race);
    }
    return { state: 'examined', races: [...found.values()] };
  } catch (error) {
    return unknown(messageOf(error));
  }
}

const accessOf = ({ kind, line }: Access): Access => ({ kind, line });
const unknown = (reason: string): Examined => ({ state: 'unknown', reason });

/** 'tile: write in line 31, read in 40' */
export function raceText({ variable, first, second }: Race): string {
  return `${variable}: ${first.kind} in line ${first.line}, ${second.kind} in ${second.line}`;
}

type Bindings = Record<string, Record<string, unknown>>;

function bindingsOf(reflection: WgslReflect, { params, buffers }: Dispatch): Bindings {
  const bindings: Bindings = {};
  const bind = (group: number, binding: number, value: unknown): void => {
    (bindings[group] ??= {})[binding] = value;
  };
  for (const { name, group, binding } of reflection.storage) {
    const bytes = buffers.get(name);
    if (bytes !== undefined) bind(group, binding, bytes);
  }
  for (const { group, binding, size, members } of reflection.uniforms) {
    const view = new DataView(new ArrayBuffer(size));
    for (const { name, offset, type } of members ?? []) {
      if (type.name === 'f32') view.setFloat32(offset, params[name] ?? 0, true);
      else view.setUint32(offset, params[name] ?? 0, true);
    }
    bind(group, binding, { uniform: view.buffer });
  }
  return bindings;
}

/** The interpreter enters a block and takes its first statement in one step, where it would not wait at a barrier. */
function withFirstSteps(source: string): string {
  return source.replace(/\{(\s*(?:workgroup|storage)Barrier\(\);)/g, '{ let firstStep = 0u;$1');
}

/** The interpreter passes pointers to any storage, but does not know how a shader says that it does. */
function withoutRequires(source: string): string {
  return source.replace(/^requires [^;]+;/gm, '');
}

/**
 * Atomics as plain accesses, which are all that the detector follows; an addition does not race with another.
 * Undefined when there are others.
 */
function withoutAtomics(source: string): { text: string; additions: ReadonlySet<number> } | undefined {
  const text = source
    .replace(/atomic<(\w+)>/g, '$1')
    .replace(/atomicStore\(&([^,]+), ([^;]+)\);/g, '$1 = $2;')
    .replace(/atomicLoad\(&(\w+\[\w+\])\)/g, '$1')
    // A load between two barriers, which the detector does not know for ones.
    .replace(/^(.*)\bworkgroupUniformLoad\(&(\w+)\)/gm, 'workgroupBarrier(); $1$2')
    .replace(/atomicAdd\(&([^,]+), ([^;]+)\);/g, '$1 += $2;');
  if (/atomic\w+\(/.test(text)) return undefined;
  const lines = source.split('\n');
  return {
    text,
    additions: new Set(lines.flatMap((line, i) => (line.includes('atomicAdd(') ? [i + 1] : []))),
  };
}

/** The detector follows elements of arrays alone: what the workgroup shares beside them becomes an array of one. */
function withElements(source: string): string {
  let text = source;
  for (const [, name = ''] of source.matchAll(/var<workgroup>\s*(\w+)\s*:\s*(?!\s|array\b)/g)) {
    const isUsed = new RegExp(`(?<![.\\w])${name}\\b(?!\\s*:)`, 'g');
    const declared = new RegExp(`(var<workgroup>\\s*${name}\\s*:\\s*)([^;]+);`);
    text = text.replace(isUsed, `${name}[0]`).replace(declared, '$1array<$2, 1>;');
  }
  return text;
}

/**
 * The interpreter keeps what a call returned at its place in the text, which all lanes share, so that lanes in step read
 * the value of the last one. Meanwhile each lane has its own. What the interpreter does not know it tells the console,
 * and goes on.
 * @throws Error with the first complaint.
 */
function inOwnLanes<T>(work: () => T): T {
  let lane = 0;
  const returned = new WeakMap<object, Map<number, unknown>>();
  const restore = [
    replaced(MemoryTracker.prototype, 'currentInvocation', {
      get: () => lane,
      set: (invocation: number) => void (lane = invocation),
    }),
    replaced(CallExpr.prototype, 'cachedReturnValue', {
      get(this: object) {
        return returned.get(this)?.get(lane) ?? null;
      },
      set(this: object, value: unknown) {
        const ofLanes = returned.get(this) ?? new Map<number, unknown>();
        returned.set(this, ofLanes.set(lane, value));
      },
    }),
    replaced(console, 'error', {
      value: (complaint: unknown) => {
        throw new Error(String(complaint));
      },
    }),
  ];
  try {
    return work();
  } finally {
    for (const back of restore) back();
  }
}

/** @returns what puts it back. */
function replaced(target: object, name: string, by: PropertyDescriptor): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { ...by, configurable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, before);
  };
}

/** The races of a scene, and a shader without one of its barriers. */
import { WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { specialise, type Spec } from '../../src/gpu/shader/specialise.ts';
import { examine, raceText } from '../../src/validate/races/interpret.ts';

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

const BARRIER = /\b(?:workgroup|storage)Barrier\(\);/g;

/** The text as often as it has barriers, each time without another one. */
export function withoutEachBarrier(source: string): { line: number; text: string }[] {
  return [...source.matchAll(BARRIER)].map(({ index, 0: call }) => ({
    line: source.slice(0, index).split('\n').length,
    text: source.slice(0, index) + source.slice(index + call.length),
  }));
}

function wordsOf(isFloat: boolean, given: readonly number[] | number): ArrayBuffer {
  const values = typeof given === 'number' ? Array.from({ length: given }, (_, i) => i % 5) : given;
  return isFloat ? new Float32Array(values).buffer : new Uint32Array(values).buffer;
}

/** What races in `source`, the scene's shader or a copy of it with a fault: a line each, none twice. */
export function racesOf(source: string, scene: Scene): string[] {
  const { shader, params = {}, groups = [1, 1, 1] } = scene;
  const text = specialise(source, scene.spec ?? {}, shader);
  const { storage, uniforms, entry } = new WgslReflect(text);
  const members = uniforms.flatMap((uniform) => (uniform.members ?? []).map(({ name }) => name));
  const stray = Object.keys(params).filter((name) => !members.includes(name));
  if (stray.length > 0) throw new Error(`${shader} has no ${stray.join(', ')}`);
  const used = new Set(entry.compute.flatMap(({ resources }) => resources.map(({ name }) => name)));
  const buffers = new Map(
    storage.map(({ name, type }) => {
      const given = scene.buffers[name];
      if (given === undefined && used.has(name)) throw new Error(`${shader}: the scene lacks ${name}`);
      return [name, wordsOf(/<f32|vec4f/.test(type.getTypeName()), given ?? 4)];
    }),
  );
  const found = examine({ text, params, buffers, groups });
  if (found.state === 'unknown') throw new Error(`${shader}: ${found.reason}`);
  return found.races.map(raceText);
}

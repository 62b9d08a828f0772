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
  /** Its lanes also exchange values by shuffles, which order nothing: the interpreter is given each lane's own instead. */
  readonly shuffles?: boolean;
}

/** Two on one line are one, for both kinds of memory: what interprets tells them apart no more. */
const BARRIER = /\b(?:storageBarrier\(\); )?(?:workgroup|storage)Barrier\(\);/g;

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

/** Products of bytes, which the interpreter does not know, as products of words. */
function withoutBytes(text: string): string {
  return text
    .replace(/dot4I8Packed\((\w+), (\w+\.\w)\)/g, 'i32($1 * $2)')
    .replace(/pack4xI8\(vec4<i32>\((.*)\)\);/g, 'u32(abs(($1).x));');
}

/** Halves, which the interpreter does not know, as f32. */
function withoutHalves(text: string): string {
  return text.replace(/^enable f16;/m, '').replace(/\bf16\b/g, 'f32');
}

function withoutShuffles(text: string): string {
  return text.replace(/^enable subgroups;/m, '').replace(/subgroupShuffleXor\((\w+), \w+\)/g, '$1');
}

/** What races in `source`, the scene's shader or a copy of it with a fault: a line each, none twice. */
export function racesOf(source: string, scene: Scene): string[] {
  const { shader, params = {}, groups = [1, 1, 1] } = scene;
  const specialised = withoutHalves(
    withoutBytes(withoutMatrices(specialise(source, scene.spec ?? {}, shader))),
  );
  const text = scene.shuffles === true ? withoutShuffles(specialised) : specialised;
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

/** A matrix is a number that all lanes of its subgroup have. */
const INSTEAD = `
fn loadedMatrix(rows : u32, width : u32, at : u32, stride : u32) -> f32 {
  var bits = 0u;
  for (var r = 0u; r < rows; r += 1u) { for (var v = 0u; v < width; v += 1u) { bits += tile[at + r * stride + v].x; } }
  return f32(bits);
}
fn storedMatrix(isFirst : bool, at : u32, stride : u32) {
  if (!isFirst) { return; }
  for (var r = 0u; r < DIM_M; r += 1u) {
    for (var v = 0u; v < DIM_N / 4u; v += 1u) { tile[at + r * stride + v] = vec4<u32>(7u); }
  }
}
`;

/**
 * A shader of ours that keeps its matrices in `tile`, as one without matrix units: every lane of a subgroup reads what the
 * subgroup loads, its first lane writes what it stores. Enough to find accesses that no barrier puts in order.
 */
export function withoutMatrices(source: string): string {
  if (!source.includes('chromium_experimental_subgroup_matrix')) return source;
  const text = source
    .replace(/^enable [^;]+;/gm, '')
    .replace(/\bsubgroup_matrix_\w+<[^<>]*>/g, 'f32')
    .replace(/subgroupMatrixLoad<Left, row_major>\(&tile, /g, 'loadedMatrix(DIM_M, DIM_K / 8u, ')
    .replace(/subgroupMatrixLoad<Result, row_major>\(&tile, /g, 'loadedMatrix(DIM_M, DIM_N / 4u, ')
    .replace(/subgroupMatrixLoad<Right, col_major>\(&tile, /g, 'loadedMatrix(DIM_N, DIM_K / 8u, ')
    .replace(/subgroupMatrixMultiplyAccumulate\(([^,()]+), ([^,()]+(?:\[\w+\])?), /g, '($1 * $2 + ')
    .replace(
      /subgroupMatrixStore<row_major>\(&tile, (.*), [^,]+, (\w+)\);/g,
      'storedMatrix(lane % LANES == 0u, $1, $2);',
    )
    .replace(/ @subgroup_size\(LANES\)/, '')
    .replace(/,\s*@builtin\(subgroup_id\) subgroup : u32\) \{/, ') {\n  let subgroup = lane / LANES;')
    .replace(/(if \(|let \w+ = )workgroupUniformLoad\(&(\w+\[0\])\)/g, 'workgroupBarrier();\n  $1$2')
    .replace(/bitcast<vec2<u32>>\(vec4<f16>\((\w+)(\[\d\])\)\)/g, 'bitcast<vec2<u32>>($1$2.xy)')
    .replace(/\bResult\(\)/g, '0.0');
  return text + INSTEAD;
}

/** What a shader's own text says of its interface: bindings, parameter offsets, workgroup size. */
import { WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { ConfigError } from '../../core/errors.ts';

/** What a kernel does with a buffer. */
export type Access = 'read' | 'write' | 'readwrite';

export interface ParamField {
  readonly name: string;
  readonly type: 'u32' | 'i32' | 'f32';
  readonly byteOffset: number;
}

export interface ShaderInterface {
  /** Storage bindings of group 0 in the order of their number. */
  readonly storage: readonly {
    readonly name: string;
    readonly binding: number;
    readonly readOnly: boolean;
  }[];
  /** Fields of the uniform struct at group 1, binding 0; empty without one. */
  readonly params: readonly ParamField[];
  readonly paramBytes: number;
  readonly entryPoint: string;
}

/** Matrices of a subgroup, which the parser does not know, as scalars: a kernel's interface has none. */
function withoutMatrices(source: string): string {
  return source
    .replace(/\bsubgroup_matrix_\w+<[^<>]*>/g, 'f32')
    .replace(/\b(subgroupMatrix(?:Load|Store))<[^<>()]*>\(/g, '$1(');
}

/** The parsed text, or what is wrong with it. */
function parsed(source: string): unknown {
  try {
    return new WgslReflect(withoutMatrices(source));
  } catch (error) {
    return error;
  }
}

/** Whether a text is WGSL as far as its grammar goes. */
export function isWgsl(source: string): boolean {
  return parsed(source) instanceof WgslReflect;
}

/** Read before, by text: to parse one takes 5 to 20 ms, and every device that opens asks again. */
const known = new Map<string, ShaderInterface>();
/** A guess: more than one run asks for. */
const MOST_KNOWN = 512;

/**
 * Reads the interface that every Moebius shader has: storage at group 0, one optional uniform struct at
 * group 1 binding 0, one compute entry point.
 * @throws ConfigError when the shader has another one.
 */
export function reflectShader(source: string, path: string): ShaderInterface {
  const key = `${path}\n${source}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const found = readInterface(source, path);
  if (known.size === MOST_KNOWN) known.clear();
  known.set(key, found);
  return found;
}

function readInterface(source: string, path: string): ShaderInterface {
  const reflected = parsed(source);
  if (!(reflected instanceof WgslReflect)) {
    throw new ConfigError(`${path} cannot be parsed: ${String(reflected)}`);
  }
  const entry = reflected.entry.compute[0];
  if (entry === undefined || reflected.entry.compute.length !== 1) {
    throw new ConfigError(
      `${path} has ${reflected.entry.compute.length} compute entry points; a kernel has one.`,
    );
  }
  const uniform = reflected.uniforms[0];
  if (reflected.uniforms.length > 1 || (uniform && (uniform.group !== 1 || uniform.binding !== 0))) {
    throw new ConfigError(`${path}: parameters are one uniform struct at @group(1) @binding(0).`);
  }
  const storage = reflected.storage
    .map((v) => ({
      name: v.name,
      binding: v.binding,
      group: v.group,
      readOnly: v.access === 'read' || v.access === '',
    }))
    .sort((a, b) => a.binding - b.binding);
  for (const [index, v] of storage.entries()) {
    if (v.group !== 0 || v.binding !== index) {
      throw new ConfigError(
        `${path}: storage "${v.name}" is at group ${v.group}, binding ${v.binding}; expected group 0, binding ${index}.`,
      );
    }
  }
  return {
    storage,
    params: (uniform?.members ?? []).map((m) => ({
      name: m.name,
      type: scalarType(m.type.name, `${path} params.${m.name}`),
      byteOffset: m.offset,
    })),
    paramBytes: uniform ? Math.max(16, uniform.size) : 0,
    entryPoint: entry.name,
  };
}

function scalarType(name: string, where: string): ParamField['type'] {
  if (name === 'u32' || name === 'i32' || name === 'f32') return name;
  throw new ConfigError(`${where} has type ${name}; parameters are u32, i32 or f32.`);
}

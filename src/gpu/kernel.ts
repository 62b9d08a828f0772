/**
 * A kernel is data: which shader, what is compiled in (spec), what is written per dispatch (params), which
 * buffers it reads and writes, and how many workgroups a problem needs. Names are the shader's own.
 */
import { requireFields } from '../core/given.ts';
import type { Access } from './shader/reflect.ts';
import type { Spec } from './shader/specialise.ts';

/** Types that a field of a shader's `Params` may have. */
export type ParamType = 'u32' | 'i32' | 'f32';

/** Workgroups of a dispatch along x, y and z. */
export type Grid = readonly [x: number, y: number, z: number];

/** What a kernel is before it is compiled: its shader, spec, params, buffers and grid, under the shader's own names. */
export interface KernelDefinition<
  S extends Spec = Spec,
  P extends Readonly<Record<string, ParamType>> = Readonly<Record<string, ParamType>>,
  B extends Readonly<Record<string, Access>> = Readonly<Record<string, Access>>,
> {
  /** Path below `shaders/`; of a kernel with a text of its own what messages call it. */
  readonly shader: string;
  /** The shader's text, where it is none of `shaders/`. */
  readonly text?: string;
  /** Compiled in, with defaults; a dispatch may override them by name. */
  readonly spec: S;
  /** Fields of the shader's `Params` struct, in its order. */
  readonly params: P;
  readonly buffers: B;
  /** Workgroups for a problem; `indirect` when the count is written by the GPU. */
  grid(spec: S, params: { readonly [K in keyof P]: number }): Grid;
  /** Device features the shader enables. */
  readonly features?: readonly GPUFeatureName[];
}

/**
 * The definition as it is given, its names kept as types.
 * @throws ConfigError when it lacks a shader, spec, params, buffers or grid.
 */
export function defineKernel<
  S extends Spec,
  const P extends Readonly<Record<string, ParamType>>,
  const B extends Readonly<Record<string, Access>>,
>(definition: KernelDefinition<S, P, B>): KernelDefinition<S, P, B> {
  requireFields('The kernel', definition, {
    shader: 'string',
    spec: 'record',
    params: 'record',
    buffers: 'record',
    grid: 'function',
  });
  return definition;
}

/** Some of a kernel's spec, to override its defaults. */
export type SpecChange<S extends Spec> = { readonly [K in keyof S]?: S[K] extends boolean ? boolean : S[K] };

/**
 * A kernel of the user's own beside those of a family: plain data with a WGSL file. It is checked where it is defined,
 * for those who write JavaScript as well.
 */
import { ConfigError, messageOf } from '../../core/errors.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import { quoted } from '../../core/text/quoted.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Grid } from '../../gpu/kernel.ts';
import type { Spec } from '../../gpu/shader/specialise.ts';
import type { QueryBlock } from '../attention/grid.ts';
import type { AttentionShape } from '../attention/variants.ts';
import { FAMILIES, type FamilyParams, type FamilyShapes, type VariantFamily } from './interfaces.ts';

interface OwnKernel<F extends VariantFamily, S extends Spec> {
  readonly family: F;
  /** Lower-case letters, digits and hyphens, as `--variant` takes it; none of the family's own. */
  readonly name: string;
  /** What it does differently, one line for the reader of a table. */
  readonly idea: string;
  /** Path of a WGSL file, by `--with` from the module that names it; with `text` only what messages call it. */
  readonly shader: string | URL;
  /** The WGSL itself, where there is no file to read it from. */
  readonly text?: string;
  /**
   * Values for the shader's module-scope `const NAME : T = ...;` and `alias NAME = ...;`, by name, for this shape on this
   * adapter; all others keep what the file says.
   */
  readonly spec?: S | ((shape: FamilyShapes[F], gpu: Gpu) => S);
  /** Device features beside those that the shader enables. */
  readonly features?: readonly GPUFeatureName[];
  /** Why it cannot run this shape on this adapter; undefined when it can. It runs everything when absent. */
  refusal?(shape: FamilyShapes[F], gpu: Gpu): string | undefined;
}

/** Of a family that dispatches its kernel once. */
interface OwnGridVariant<F extends GridFamily, S extends Spec> extends OwnKernel<F, S> {
  /** Workgroups for a problem, of at most 65,535 in each dimension; none where a count is 0. */
  grid(spec: S, params: FamilyParams<F>): Grid;
}

interface OwnExpertVariant<S extends Spec> extends OwnKernel<'moe', S> {
  /** Workgroups for the columns in x; y is the number of tiles, which only the GPU knows. */
  grid(spec: S, params: FamilyParams<'moe'>): Grid;
  /** Most rows of a tile. `tiles` lists them, four words each: expert, first row, end of its rows, and one unused. */
  readonly tileRows: number;
}

interface OwnAttentionVariant<S extends Spec> extends OwnKernel<'attention', S> {
  /**
   * Queries of a sequence that share a row of workgroups, and how many workgroups that row has. x of the grid are these
   * rows, y heads, z sequences; a batch beyond a grid comes in pieces that begin at firstQuery, firstHead and
   * firstSequence.
   */
  block(shape: AttentionShape): QueryBlock;
}

type GridFamily = Exclude<VariantFamily, 'attention' | 'moe'>;

/**
 * A variant of a family. Its shader declares, by the family's names, those parameters and buffers that it needs: a
 * uniform struct at @group(1) @binding(0), storage at @group(0) from binding 0 on without a gap.
 */
export type OwnVariant<F extends VariantFamily = VariantFamily, S extends Spec = Spec> = F extends GridFamily
  ? OwnGridVariant<F, S>
  : F extends 'moe'
    ? OwnExpertVariant<S>
    : OwnAttentionVariant<S>;

/**
 * The variant as it is given, with the types of its family, and checked.
 * @throws ConfigError for a family that there is not, a name that is taken or no name, and a field that is missing, is
 * not known or is of another kind.
 */
export function defineVariant<S extends Spec>(variant: OwnExpertVariant<S>): OwnExpertVariant<S>;
export function defineVariant<S extends Spec>(variant: OwnAttentionVariant<S>): OwnAttentionVariant<S>;
export function defineVariant<const F extends GridFamily, S extends Spec>(
  variant: OwnGridVariant<F, S>,
): OwnGridVariant<F, S>;
export function defineVariant(variant: OwnVariant): OwnVariant {
  checkVariant(variant);
  return variant;
}

/** 'matmul variant "mine"' */
export function nameOf({ family, name }: { readonly family: string; readonly name: string }): string {
  return `${family} variant "${name}"`;
}

type Kind = 'a function' | 'a whole number of at least 1';
type Field = { readonly kind: Kind; readonly optional?: boolean };

const GRID: Readonly<Record<string, Field>> = { grid: { kind: 'a function' } };
const COVERS: Readonly<Record<VariantFamily, Readonly<Record<string, Field>>>> = {
  matmul: GRID,
  'gate-topk': GRID,
  'rms-norm': GRID,
  rope: GRID,
  attention: { block: { kind: 'a function' } },
  moe: { ...GRID, tileRows: { kind: 'a whole number of at least 1' } },
};
/** Checked one by one below. */
const COMMON = ['family', 'name', 'idea', 'shader', 'text', 'spec', 'features', 'refusal'];

const NAME = /^[a-z0-9][a-z0-9-]{0,39}$/;
/** What a table calls a row that no single variant stands for. */
const RESERVED = ['mixed'];

/** @throws ConfigError as `defineVariant`. @param where it comes from, for messages: './mine.ts: '. */
export function checkVariant(given: unknown, where = ''): asserts given is OwnVariant {
  const refuse = (why: string): never => {
    throw new ConfigError(`${where}${why}`);
  };
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return refuse(
      `a variant is an object {family, name, idea, shader, grid, ...}; this one is ${quoted(given)}.`,
    );
  }
  const value = given as Readonly<Record<string, unknown>>;
  const families = Object.keys(FAMILIES);
  const { family, name } = value;
  if (!isFamily(family)) {
    const near = typeof family === 'string' ? didYouMean(family, families) : '';
    return refuse(
      `a variant's family is ${quoted(family)}${near}; it must be one of ${families.join(', ')}.`,
    );
  }
  if (typeof name !== 'string' || !NAME.test(name) || RESERVED.includes(name)) {
    return refuse(
      `a variant of ${family} has the name ${quoted(name)}; names are of lower-case letters, digits and hyphens, ` +
        `at most 40${name === 'mixed' ? ', and not "mixed"' : ''}.`,
    );
  }
  const what = nameOf({ family, name });
  const own = FAMILIES[family].variants.map((variant) => variant.name);
  if (own.includes(name)) refuse(`${what}: the family has one of this name already. Give it another.`);
  const { idea, shader, text, spec, features, refusal } = value;
  if (typeof idea !== 'string' || idea.trim() === '')
    refuse(`${what}: its idea is ${quoted(idea)}; say it in a line.`);
  if (!(shader instanceof URL) && (typeof shader !== 'string' || shader === '')) {
    refuse(`${what}: its shader is ${quoted(shader)}; give the path of a WGSL file.`);
  }
  if (text !== undefined && typeof text !== 'string')
    refuse(`${what}: its text is ${quoted(text)}; give WGSL.`);
  if (spec !== undefined && typeof spec !== 'function') requireSpec(spec, `${where}${what}`);
  if (features !== undefined && !(Array.isArray(features) && features.every((f) => typeof f === 'string'))) {
    refuse(`${what}: its features are ${quoted(features)}; give a list of names.`);
  }
  if (refusal !== undefined && typeof refusal !== 'function') {
    refuse(`${what}: its refusal is ${quoted(refusal)}; give a function of the shape.`);
  }
  const covers = COVERS[family];
  for (const [field, { kind }] of Object.entries(covers)) {
    if (!isOfKind(value[field], kind))
      refuse(`${what}: its ${field} is ${quoted(value[field])}; give ${kind}.`);
  }
  const known = [...COMMON, ...Object.keys(covers)];
  const unknown = Object.keys(value).find((field) => !known.includes(field));
  if (unknown !== undefined) {
    refuse(
      `${what} has a field ${quoted(unknown)}${didYouMean(unknown, known)}. Known are: ${known.join(', ')}.`,
    );
  }
}

function isFamily(value: unknown): value is VariantFamily {
  return typeof value === 'string' && Object.hasOwn(FAMILIES, value);
}

function isOfKind(value: unknown, kind: Kind): boolean {
  if (kind === 'a function') return typeof value === 'function';
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

/** @throws ConfigError for what is no object of numbers, booleans and types. */
export function requireSpec(value: unknown, what: string): asserts value is Spec {
  const isSpec =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((v) => ['boolean', 'string'].includes(typeof v) || Number.isFinite(v));
  if (isSpec) return;
  throw new ConfigError(
    `${what}: its spec is ${quoted(value)}; give an object of numbers, booleans and the names of types.`,
  );
}

/** What a function of the user's returns. @throws ConfigError for whatever it throws. */
export function ask<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${what} threw: ${messageOf(error)}`);
  }
}

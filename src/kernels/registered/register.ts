/** From a user's variant to one of a family on a device: its shader is read, and held to what the family gives it. */
import { ConfigError } from '../../core/errors.ts';
import { quoted } from '../../core/text/quoted.ts';
import { didYouMean } from '../../core/text/near-names.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import type { Grid, KernelDefinition } from '../../gpu/kernel.ts';
import { MATRIX_FEATURE, SUBGROUP_SIZES } from '../../gpu/shader/matrices.ts';
import { type Access, isWgsl, reflectShader, type ShaderInterface } from '../../gpu/shader/reflect.ts';
import { declaredNames } from '../../gpu/shader/specialise.ts';
import type { QueryBlock } from '../attention/grid.ts';
import { addVariant, registeredVariants, type Variant } from '../variants.ts';
import { type FamilyInterface, FAMILIES } from './interfaces.ts';
import { ask, checkVariant, nameOf, type OwnVariant, requireSpec } from './own-variant.ts';

/**
 * Adds a variant of the user's own to its family on this device. From then on it is one of the variants that can be
 * named, and that checks, benches and the tuner meet; it is never taken by default.
 * @throws ConfigError as `defineVariant`, for a name that is registered already, a WGSL file that cannot be read, and
 * a shader that asks for a parameter or a buffer that its family does not have, or for another access or type. A shader
 * that does not compile is found where it is compiled.
 */
export async function registerVariant(gpu: Gpu, variant: OwnVariant): Promise<void> {
  checkVariant(variant);
  const { family, name } = variant;
  const requireFree = (): void => {
    if (!registeredVariants(gpu, family).some((other) => other.name === name)) return;
    throw new ConfigError(`${nameOf(variant)} is registered on this device already. Give it another name.`);
  };
  requireFree();
  const added = await variantOf(gpu, variant);
  // Another may have come while the file was read.
  requireFree();
  addVariant(gpu, family, added);
}

async function variantOf(gpu: Gpu, own: OwnVariant): Promise<Variant<never>> {
  const what = nameOf(own);
  const shader = String(own.shader);
  const text = own.text ?? (await shaderText(gpu.platform, own.shader, what));
  const { spec, features = [] } = own;
  const defaults = typeof spec === 'object' ? spec : {};
  for (const name of Object.keys(defaults)) requireDeclared(name, text, `${what}, ${shader}`);
  const ofFamily: FamilyInterface = FAMILIES[own.family];
  const needed = [...new Set([...features, ...enabledBy(text)])];
  const kernel: KernelDefinition = {
    ...{ shader, text, features: needed, spec: defaults },
    ...interfaceOf(text, shader, what, ofFamily),
    grid: (given, params) => {
      // Attention has its grid from its blocks.
      if (!('grid' in own)) return [0, 0, 0];
      return requireGrid(
        ask(`${what}: its grid`, () => own.grid(given, params as never)),
        what,
      );
    },
  };
  return {
    ...{ name: own.name, idea: own.idea, kernel },
    spec: (shape, device) => {
      if (typeof spec !== 'function') return {};
      const values: unknown = ask(`${what}: its spec`, () => spec(shape, device));
      requireSpec(values, what);
      return values;
    },
    refusal: (shape, device) => {
      const missing = needed.filter((feature) => !device.has(feature));
      if (isBiased(shape) && own.family === 'matmul' && !Object.hasOwn(kernel.buffers, 'bias_N')) {
        return 'it binds no bias_N, and a bias is to be added';
      }
      if (missing.length > 0) return `the adapter has no ${missing.join(', ')}`;
      const reason: unknown = ask(`${what}: its refusal`, () => own.refusal?.(shape, device));
      if (reason === undefined || (typeof reason === 'string' && reason !== '')) return reason;
      throw new ConfigError(`${what}: its refusal gave ${quoted(reason)}; give a reason, or undefined.`);
    },
    ...('tileRows' in own && { tileRows: own.tileRows }),
    ...('block' in own && {
      block: (shape: never) =>
        requireBlock(
          ask(`${what}: its block`, () => own.block(shape)),
          what,
        ),
    }),
  };
}

function isBiased(shape: unknown): boolean {
  return typeof shape === 'object' && shape !== null && 'biased' in shape && shape.biased === true;
}

/** @param what it is of, for messages. @throws ConfigError for a file that cannot be read, or is no text. */
export async function shaderText(
  platform: Pick<Gpu['platform'], 'readFile'>,
  shader: string | URL,
  what: string,
): Promise<string> {
  const path = shader instanceof URL && shader.protocol === 'file:' ? pathOf(shader) : String(shader);
  let bytes: Uint8Array;
  try {
    bytes = await platform.readFile(path, MOST_BYTES);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${what}: ${error.message}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${what}: ${path} is no UTF-8 text, so it is no WGSL.`);
  }
}

/** Of a shader: 1 MiB. */
const MOST_BYTES = 2 ** 20;

/** The file of a URL; drives of Windows have no slash in front. */
function pathOf(url: URL): string {
  return decodeURIComponent(url.pathname).replace(/^\/(?=[A-Za-z]:)/, '');
}

/** Device features that a shader's `enable` lines need. */
function enabledBy(text: string): GPUFeatureName[] {
  const names = [...text.matchAll(/^\s*enable\s+([^;]+);/gm)].flatMap(([, list = '']) => list.split(','));
  const known: Readonly<Record<string, GPUFeatureName>> = {
    ...{ f16: 'shader-f16', subgroups: 'subgroups', subgroup_size_control: SUBGROUP_SIZES },
    chromium_experimental_subgroup_matrix: MATRIX_FEATURE,
  };
  return names.flatMap((name) => known[name.trim()] ?? []);
}

function requireDeclared(name: string, text: string, where: string): void {
  const declared = declaredNames(text);
  if (declared.includes(name)) return;
  throw new ConfigError(
    `${where} declares no ${quoted(name)}${didYouMean(name, declared)} at module scope, which its spec names. ` +
      `Declared are: ${declared.join(', ') || 'none'}.`,
  );
}

/** What the shader declares, of what the family gives. Of a text that cannot be parsed the compiler will say why. */
function interfaceOf(
  text: string,
  shader: string,
  what: string,
  family: FamilyInterface,
): Pick<KernelDefinition, 'params' | 'buffers'> {
  if (!isWgsl(text)) return family;
  const found = reflectShader(text, shader);
  const refuse = (why: string): never => {
    throw new ConfigError(`${what}: ${shader} ${why}`);
  };
  const list = (all: Readonly<Record<string, string>>): string =>
    Object.entries(all)
      .map(([name, kind]) => `${name} (${kind})`)
      .join(', ');
  const buffers: [string, Access][] = found.storage.map(({ name, readOnly }) => {
    const given = family.buffers[name];
    if (given === undefined) {
      const near = didYouMean(name, Object.keys(family.buffers));
      return refuse(
        `binds a buffer "${name}"${near}, which the family does not have. It has: ${list(family.buffers)}.`,
      );
    }
    if ((given === 'read') !== readOnly) {
      const access = given === 'read' ? 'read' : 'read_write';
      refuse(`binds "${name}" with another access than the family; declare it var<storage, ${access}>.`);
    }
    return [name, given];
  });
  requireWrites(found, family, (names) => refuse(`binds nothing that it could write; declare ${names}.`));
  const params = found.params.map(({ name, type }) => {
    const given = family.params[name];
    if (given === undefined) {
      const near = didYouMean(name, Object.keys(family.params));
      return refuse(
        `has a parameter "${name}"${near}, which the family does not have. It has: ${list(family.params)}.`,
      );
    }
    if (given !== type) refuse(`has the parameter "${name}" as ${type}; the family gives it as ${given}.`);
    return [name, given] as const;
  });
  return { buffers: Object.fromEntries(buffers), params: Object.fromEntries(params) };
}

function requireWrites(
  { storage }: ShaderInterface,
  { buffers }: FamilyInterface,
  refuse: (names: string) => never,
): void {
  const written = Object.keys(buffers).filter((name) => buffers[name] !== 'read');
  if (!storage.some(({ name }) => written.includes(name))) refuse(written.join(' and '));
}

function requireGrid(grid: unknown, what: string): Grid {
  if (Array.isArray(grid) && grid.length === 3 && grid.every((n) => typeof n === 'number')) {
    return grid as unknown as Grid;
  }
  throw new ConfigError(`${what}: its grid gave ${quoted(grid)}; give three numbers of workgroups.`);
}

function requireBlock(block: unknown, what: string): QueryBlock {
  const { queries, workgroups } = (block ?? {}) as Readonly<Record<string, unknown>>;
  if ([queries, workgroups].every((n) => Number.isSafeInteger(n) && Number(n) >= 1))
    return block as QueryBlock;
  throw new ConfigError(
    `${what}: its block gave ${quoted(block)}; give whole numbers of at least 1 as queries and workgroups.`,
  );
}

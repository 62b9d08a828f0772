/** `--with`: kernels of the user's own, from modules that he names. They run with all his rights. */
import { stat } from 'node:fs/promises';
import { isAbsolute, dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ConfigError, messageOf } from '../../core/errors.ts';
import { quoted, shortened } from '../../core/text/quoted.ts';
import type { Gpu } from '../../gpu/gpu.ts';
import { checkVariant, nameOf, type OwnVariant } from '../../kernels/registered/own-variant.ts';
import { registerVariant, shaderText } from '../../kernels/registered/register.ts';
import { collect } from '../options.ts';
import { platformHere } from '../session.ts';

/** What every command that runs kernels by name has. */
export const WITH = [
  '--with <module>',
  'variants of your own, of a .ts or .js module, which runs with all your rights; may be repeated',
  collect,
  [] as string[],
] as const;

export interface WithOptions {
  /** Modules that export variants (`OwnVariant`), one or a list, as `variants` or as their default. */
  readonly with?: readonly string[];
}

/**
 * The variants of all modules, each with the text of its shader.
 * @throws ConfigError for a module that does not load or exports no variants, a variant that is none, two of one name,
 * and a WGSL file that cannot be read.
 */
export async function loadVariants({ with: modules = [] }: WithOptions): Promise<OwnVariant[]> {
  const found = new Map<string, string>();
  const variants: OwnVariant[] = [];
  for (const path of modules) {
    const shown = shortened(path, 200);
    for (const variant of await variantsIn(path, shown)) {
      checkVariant(variant, `${shown}: `);
      const what = nameOf(variant);
      const before = found.get(what);
      if (before !== undefined) {
        throw new ConfigError(`${shown}: ${what} is in ${before} already. Give one of them another name.`);
      }
      found.set(what, shown);
      variants.push(await withText(variant, resolve(path), `${shown}: ${what}`));
    }
  }
  return variants;
}

/** Adds them to their families on this device. @throws ConfigError as `registerVariant`. */
export async function registerAll(gpu: Gpu, variants: readonly OwnVariant[]): Promise<void> {
  for (const variant of variants) await registerVariant(gpu, variant);
}

async function variantsIn(path: string, shown: string): Promise<readonly unknown[]> {
  const place = await stat(resolve(path)).catch(() => undefined);
  // Node would read a device or a pipe for ever.
  if (place !== undefined && !place.isFile() && !place.isDirectory())
    throw new ConfigError(`cannot load ${shown}: it is not a plain file. Name a .ts or .js module.`);
  let module: Readonly<Record<string, unknown>>;
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new ConfigError(`cannot load ${shown}: ${reasonOf(error, path)}`);
  }
  const byDefault = module['default'];
  // What CommonJS exports is its default, too.
  const inner = (byDefault ?? {}) as { readonly variants?: unknown };
  const isEmpty = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
  const given = [module['variants'], inner.variants ?? byDefault].filter((value, i, all) => {
    return value !== undefined && !isEmpty(value) && all.indexOf(value) === i;
  });
  const variants: readonly unknown[] = given.flat(1);
  if (variants.length > 0) return variants;
  const names = Object.keys(module).filter((name) => !isEmpty(module[name]));
  const has =
    names.length === 0
      ? 'nothing'
      : names
          .slice(0, 8)
          .map((name) => quoted(name))
          .join(', ');
  throw new ConfigError(
    `${shown} exports no variants (it exports ${has}). Export one or a list of them as "variants" or as its default.`,
  );
}

const HINTS: Readonly<Record<string, (path: string) => string>> = {
  ERR_UNKNOWN_FILE_EXTENSION: (path) =>
    /\.m?ts$/.test(path)
      ? `Node ${process.versions.node} reads no TypeScript. Give it as .js, or use Node 22.18 or newer.`
      : 'it must be a .ts or .js module.',
  ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING: () =>
    'Node reads no TypeScript below node_modules. Copy it and its WGSL to a place of your own.',
  ERR_UNSUPPORTED_DIR_IMPORT: () => 'it is a folder. Name the module in it.',
};

function reasonOf(error: unknown, path: string): string {
  const { code = '', url } = (error ?? {}) as { readonly code?: string; readonly url?: string };
  const hint = HINTS[code];
  if (hint !== undefined) return hint(path);
  const isIt = url === undefined || url === pathToFileURL(resolve(path)).href;
  if (code === 'ERR_MODULE_NOT_FOUND' && isIt && !messageOf(error).startsWith('Cannot find package')) {
    return `there is no such file. Looked at ${resolve(path)}.`;
  }
  const message = messageOf(error).split('\n', 1).join('') || 'it gives no reason';
  const isModule = error instanceof SyntaxError && /outside a module|token 'export'/.test(message);
  return isModule ? `${message}. Name it .mjs, or set "type": "module" in its package.json.` : message;
}

/** A relative path counts from the module; messages call the file by its place from here. */
async function withText(variant: OwnVariant, module: string, what: string): Promise<OwnVariant> {
  if (variant.text !== undefined) return variant;
  const { shader } = variant;
  const isUrl = shader instanceof URL || /^file:/.test(shader);
  const path = isUrl ? fileURLToPath(shader) : resolve(dirname(module), String(shader));
  const text = await shaderText(platformHere(), path, what);
  const here = relative(process.cwd(), path);
  const isBelow = !isAbsolute(here) && !here.startsWith('..');
  // What the author wrote stays as it is, also where it comes from a class.
  return Object.create(variant, {
    shader: { value: isBelow ? here.split(sep).join('/') : path, enumerable: true },
    text: { value: text, enumerable: true },
  }) as OwnVariant;
}

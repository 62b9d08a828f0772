/**
 * A shader is valid WGSL on its own and is specialised by rewriting its own module-scope declarations
 * `const NAME : T = value;` and `alias NAME = type;`. Nothing else may be rewritten, so every tool can read
 * the files and a misspelt name is an error, not a silent default.
 */
import { ConfigError } from '../../core/errors.ts';

/** Compile-time values by the name of the declaration they replace. A string replaces an alias. */
export type Spec = Readonly<Record<string, number | boolean | string>>;

/**
 * The text with each named declaration's right-hand side replaced.
 * specialise('const WG : u32 = 64u;', { WG: 128 }, 'x.wgsl') = 'const WG : u32 = 128u;'
 * @throws ConfigError when the shader declares no such name, or declares it twice.
 */
export function specialise(source: string, spec: Spec, path: string): string {
  let text = source;
  for (const [name, value] of Object.entries(spec)) {
    const declaration = new RegExp(
      typeof value === 'string'
        ? `^(alias[ \\t]+${name}[ \\t]*=[ \\t]*)([^;]+)(;)`
        : `^(const[ \\t]+${name}[ \\t]*:[ \\t]*(?:u32|i32|f32|bool)[ \\t]*=[ \\t]*)([^;]+)(;)`,
      'gm',
    );
    const found = [...text.matchAll(declaration)];
    if (found.length !== 1) {
      const kind = typeof value === 'string' ? 'alias' : 'const';
      throw new ConfigError(
        `${path} declares ${found.length === 0 ? 'no' : found.length} spec ${kind} "${name}" at module scope; ` +
          `exactly one can be rewritten. Declared are: ${declaredNames(text).join(', ') || 'none'}.`,
      );
    }
    text = text.replace(declaration, (_all, head: string, _old: string, tail: string) => {
      return `${head}${literal(value, head)}${tail}`;
    });
  }
  return text;
}

/** Names of all module-scope constants and aliases. */
export function declaredNames(source: string): string[] {
  return [...source.matchAll(/^(?:const|alias)[ \t]+(\w+)/gm)].map((m) => m[1] ?? '');
}

function literal(value: number | boolean | string, head: string): string {
  if (typeof value !== 'number') return String(value);
  if (/:\s*u32/.test(head)) return `${value}u`;
  if (/:\s*i32/.test(head)) return `${value}i`;
  if (/:\s*f32/.test(head)) return `f32(${value})`;
  throw new ConfigError(`A number (${value}) cannot replace the value of "${head.trim()}"; give a boolean.`);
}

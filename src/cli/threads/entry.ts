/** Where a thread of ours begins: at its module, or in a checkout at what reads TypeScript first. */

export interface Entry {
  readonly entry: URL;
  /** For `typescript-thread.js`. */
  readonly module: string;
}

/** @param name of a module of this folder, without its ending. */
export function threadEntry(name: string): Entry {
  const source = import.meta.url.endsWith('.ts');
  const module = new URL(`./${name}.${source ? 'ts' : 'js'}`, import.meta.url);
  const entry = source ? new URL('./typescript-thread.js', import.meta.url) : module;
  return { entry, module: module.href };
}

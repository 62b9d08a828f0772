/** Which adapters a choice means, and which of them to try first. Pure, so that it can be tested without any. */

const SOFTWARE = /llvmpipe|lavapipe|swiftshader|microsoft basic render|software/i;

/** True when the name is one of the drivers that run on the CPU. */
export function isSoftwareName(name: string): boolean {
  return SOFTWARE.test(name);
}

/** True for an adapter whose every field is empty: it may be a GPU or a driver on the CPU. */
export function saysNothing(...fields: readonly (string | undefined)[]): boolean {
  return fields.every((field) => field === undefined || field.trim() === '');
}

/** True when `choice` is part of `name`; case does not matter. */
export function matches(choice: string, name: string): boolean {
  return name.toLowerCase().includes(choice.toLowerCase());
}

/**
 * The names to try, best first. `auto` takes GPUs before drivers that run on the CPU and keeps Dawn's order within each:
 * candidates('auto', ['llvmpipe (LLVM 15)', 'NVIDIA H100']) = ['NVIDIA H100', 'llvmpipe (LLVM 15)'].
 */
export function candidates(choice: string, names: readonly string[]): string[] {
  if (choice !== 'auto') return names.filter((name) => matches(choice, name));
  return [...names.filter((name) => !isSoftwareName(name)), ...names.filter(isSoftwareName)];
}

/**
 * The adapters in Dawn's rejection of a name that none has:
 * ` * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'`.
 */
export function listedNames(rejection: string): string[] {
  const found = [...rejection.matchAll(/^ \* backend: '(\w+)', name: '(.*)'$/gm)];
  const names = found.filter(([, backend]) => backend !== 'null').map(([, , name]) => name ?? '');
  return [...new Set(names)];
}

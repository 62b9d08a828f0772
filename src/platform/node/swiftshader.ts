/**
 * The software adapter that npm alone brings: SwiftShader and a Vulkan loader from `@sparticuz/chromium`.
 *
 * Dawn opens `libvulkan.so.1` by name. Once a library of that name is loaded, by whatever path, the name finds
 * it: so the loader is loaded first, and the loader finds SwiftShader through the environment.
 */
import { constants } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../core/errors.ts';
import { entryOf, installCommand } from './optional.ts';
import { CARRIER, unpackOnce } from './unpack.ts';

/** The name under which Dawn lists it. */
export const SWIFTSHADER_NAME = 'SwiftShader Device (Subzero)';

/** The loader must survive `process.dlopen`, which unloads what is no Node addon. */
const RTLD_NODELETE = 0x1000;

const LOADER = 'libvulkan.so.1';
const DRIVER_FILE = 'vk_swiftshader_icd.json';

/** Why this machine cannot use it, or undefined when it can. */
export function swiftshaderObstacle(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `the embedded SwiftShader is built for x86-64 Linux, this is ${process.arch} ${process.platform}`;
  }
  if (entryOf(CARRIER) !== undefined) return undefined;
  return `the embedded SwiftShader is not there, since the optional package ${CARRIER} is not installed: "${installCommand(CARRIER)}" brings it`;
}

/** Loads the Vulkan loader into this process. @returns the path of the driver file for `VK_DRIVER_FILES`. */
export async function loadSwiftshader(): Promise<string> {
  const folder = await unpackOnce({
    name: 'swiftshader',
    archives: ['swiftshader.tar'],
    files: [LOADER, 'libvk_swiftshader.so', DRIVER_FILE],
  });
  try {
    process.dlopen({ exports: {} }, join(folder, LOADER), constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    // Expected: the library is no Node addon. It stays loaded all the same.
    if (!messageOf(error).includes('did not self-register')) throw error;
  }
  return join(folder, DRIVER_FILE);
}

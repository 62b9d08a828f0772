/**
 * ONNX Runtime picks its adapter itself and does not say which. So it is shown one only: the Vulkan loader reads the
 * environment when a Dawn makes its instance, and ours tells what a Dawn sees under a setting.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, messageOf } from '../../src/core/errors.ts';
import { listedNames } from '../../src/platform/choice.ts';
import { loadSwiftshader, SWIFTSHADER_NAME } from '../../src/platform/node/swiftshader.ts';

/** Where drivers leave the files by which the loader finds them. */
const FOLDERS = ['/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/usr/share/vulkan/icd.d'];
const VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];
const NO_SUCH_NAME = 'moebius-lists-adapters';

/** The adapters that a Dawn of this process sees now. */
async function visibleAdapters(): Promise<string[]> {
  const { create } = await import('webgpu');
  try {
    await create([`adapter=${NO_SUCH_NAME}`]).requestAdapter();
    return [];
  } catch (error) {
    return listedNames(messageOf(error));
  }
}

/**
 * Sets the environment so that `name` is the only adapter there is.
 * @throws ConfigError when no driver file does that.
 */
export async function showOnly(name: string): Promise<void> {
  const seen = await visibleAdapters();
  if (isOnly(seen, name)) return;
  const kept = VARIABLES.map((variable) => process.env[variable]);
  const embedded = name === SWIFTSHADER_NAME ? [await loadSwiftshader()] : [];
  for (const file of [...driverFiles(), ...embedded]) {
    for (const variable of VARIABLES) process.env[variable] = file;
    if (isOnly(await visibleAdapters(), name)) return;
  }
  VARIABLES.forEach((variable, i) => {
    if (kept[i] === undefined) Reflect.deleteProperty(process.env, variable);
    else process.env[variable] = kept[i];
  });
  throw new ConfigError(
    `ONNX Runtime picks its adapter itself, among ${seen.join(' and ')}, and no driver file offers ${name} alone. ` +
      'Set VK_DRIVER_FILES to the file of one driver, or choose another adapter.',
  );
}

const isOnly = (names: readonly string[], name: string): boolean => names.length === 1 && names[0] === name;

function driverFiles(): string[] {
  return FOLDERS.flatMap((folder) => {
    try {
      return readdirSync(folder)
        .filter((file) => file.endsWith('.json'))
        .sort()
        .map((file) => join(folder, file));
    } catch {
      return [];
    }
  });
}

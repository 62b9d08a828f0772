/** Where runs are kept, so that a measurement that was interrupted goes on. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../../src/cli/files/files.ts';
import { ConfigError } from '../../src/core/errors.ts';

/** What all runs of a folder have in common. */
export type Settings = Readonly<Record<string, unknown>>;

/** @throws ConfigError for a folder whose runs were measured with other settings, or of another commit. */
export async function keepIn(folder: string, settings: Settings): Promise<void> {
  const path = join(folder, 'settings.json');
  const text = `${JSON.stringify(settings, null, 2)}\n`;
  await mkdir(folder, { recursive: true });
  const there = await readFile(path, 'utf8').catch(() => undefined);
  if (there === undefined) return writeWhole(path, text);
  if (there === text) return;
  throw new ConfigError(
    `${folder} holds runs with other settings than these: see its settings.json. Name another place with --folder, ` +
      'or remove it.',
  );
}

/** A result that took minutes: it goes to its file and to stdout, and a place that fails at the end loses nothing. */
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ConfigError, messageOf } from '../../core/errors.ts';
import { checkFolder, checkOutput, makeFolder, OTHER_OUT, writeWhole } from './files.ts';

/** Where results go that no place was named for. */
export const RESULTS = 'results';

/** Refuses, before any work, a place that could not be written at the end. @param out the file that the user named. */
export async function checkResultPlace(out: string | undefined): Promise<void> {
  await (out === undefined ? checkFolder(RESULTS, OTHER_OUT) : checkOutput(out, { remedy: OTHER_OUT }));
}

/**
 * Writes `text` to `out`, or to `name` in the folder for results, then calls `print` with its place. When it cannot be
 * written there, a folder for temporary files has to do; `print` is given undefined when that fails as well. The first
 * failure is thrown after printing.
 */
export async function keepResult(
  out: string | undefined,
  name: string,
  text: string,
  print: (place: string | undefined) => Promise<void>,
): Promise<void> {
  const path = out ?? join(RESULTS, name);
  try {
    if (out === undefined) await makeFolder(RESULTS);
    await writeWhole(path, text, OTHER_OUT);
  } catch (error) {
    const spare = join(tmpdir(), basename(path));
    const rescued = await writeWhole(spare, text).then(
      () => true,
      () => false,
    );
    await print(rescued ? spare : undefined);
    if (!rescued || !(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${messageOf(error)} The result is in ${spare} instead.`);
  }
  await print(path);
}

/** '20250131-174509' of '2025-01-31T17:45:09.123Z'. */
export function stampOf(date: string): string {
  return date.slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
}

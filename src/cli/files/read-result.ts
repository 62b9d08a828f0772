/** A result file of `moebius bench`, by its path. */
import { readResult } from '../../report/file/result-file.ts';
import type { StoredBenchResult } from '../../report/file/schema.ts';
import { platformHere } from '../session.ts';

/** @throws ConfigError for a file that is not there, cannot be read, or is no result of this version. */
export async function readResultAt(path: string): Promise<StoredBenchResult> {
  return readResult(await platformHere().readFile(path), path);
}

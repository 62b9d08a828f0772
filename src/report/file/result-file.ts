/** Result files as bytes: written whole, and read only when every field is what it should be. */
import * as v from 'valibot';
import { RESULT_SCHEMA, RESULT_VERSION, type BenchResult } from '../../bench/result.ts';
import { ConfigError } from '../../core/errors.ts';
import { requireGiven } from '../../core/given.ts';
import { printable } from '../../core/text/printable.ts';
import { quoted, shortened } from '../../core/text/quoted.ts';
import { parseStrictJson } from '../../model/safetensors/strict-json.ts';
import { BenchResultFile, type StoredBenchResult } from './schema.ts';
import { asVersion2, judged } from './version-1.ts';

/** The result as it is stored: whole, with two blanks of indent. */
export function formatResult(result: BenchResult): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

/**
 * Parses the bytes of a result file of `moebius bench` and checks every field. Version 1 is read as version 2: what it
 * did not have is absent, and what meant something else then is left out. `label` names the file in messages.
 * @throws ConfigError when the bytes are no result of these versions; the message names the first wrong field.
 */
export function readResult(bytes: Uint8Array, label: string): StoredBenchResult {
  requireGiven('The file', bytes, 'list');
  requireGiven('Its name', label, 'string');
  const value = parseStrictJson(bytes, label);
  const version = versionOf(value, label);
  const parsed = v.safeParse(BenchResultFile, version === 1 ? asVersion2(value) : value);
  if (parsed.success) return version === 1 ? judged(parsed.output) : parsed.output;
  const [issue] = parsed.issues;
  const place = shortened(printable(v.getDotPath(issue) ?? 'the file'), LONGEST_PLACE);
  throw new ConfigError(
    `${label} is no ${RESULT_SCHEMA} result of version ${version}: ${place}: ${printable(shortened(issue.message, 2 * LONGEST_PLACE))}.`,
  );
}

/** Characters of a path that a message repeats. A guess. */
const LONGEST_PLACE = 120;

/** @throws ConfigError for what is no result, or one of a version that is not known here. */
function versionOf(value: unknown, label: string): 1 | 2 {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
  const { schema, version, versions } = (isRecord ? value : {}) as Record<string, unknown>;
  if (schema !== RESULT_SCHEMA) {
    throw new ConfigError(
      `${label} is no ${RESULT_SCHEMA} result: its "schema" is ${quoted(schema)}. Give a file that moebius bench wrote.`,
    );
  }
  if (version === 1 || version === RESULT_VERSION) return version;
  if (typeof version === 'number' && version > RESULT_VERSION) {
    const { moebius: writer } = (versions ?? {}) as { readonly moebius?: unknown };
    const by = typeof writer === 'string' ? ` (moebius ${quoted(writer)} wrote it)` : '';
    throw new ConfigError(
      `${label} is a ${RESULT_SCHEMA} result of version ${version}${by}, newer than this moebius, which reads 1 and 2. Read it with a newer one.`,
    );
  }
  throw new ConfigError(
    `${label} is no ${RESULT_SCHEMA} result of version 1 or 2: its "version" is ${quoted(version)}.`,
  );
}

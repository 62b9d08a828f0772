/** The fields of a JSON file under a schema; the first that is wrong is named. */
import * as v from 'valibot';
import { ConfigError } from '../core/errors.ts';
import { quoted, shortened } from '../core/text/quoted.ts';

/** Of a path like `weight_map.model.norm`, whose parts come from the file. */
const PATH_CHARACTERS = 80;

/**
 * @param label names the file in messages.
 * @param remedy what the file must be, as a sentence.
 * @throws ConfigError naming the first field that is missing or wrong.
 */
export function parseFields<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  label: string,
  remedy: string,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  throw new ConfigError(`${label}: ${issueText(parsed.issues[0])}. ${remedy}`);
}

/** 'rope_theta: Invalid value: Expected >0 but received 0', however long what the file holds is. */
export function issueText(issue: v.BaseIssue<unknown>): string {
  const { expected, received, message } = issue;
  const path = v.getDotPath(issue);
  const where =
    path === null ? 'the file' : quoted(shortened(path, PATH_CHARACTERS)).replace(/^"|"( \(.*)?$/g, '');
  // valibot repeats the value itself, at any length.
  const what =
    message.endsWith(received) && expected !== null
      ? `${message.slice(0, message.length - received.length)}${typeof issue.input === 'string' ? quoted(issue.input) : shortened(received)}`
      : shortened(message, 2 * PATH_CHARACTERS);
  return `${where}: ${what}`;
}

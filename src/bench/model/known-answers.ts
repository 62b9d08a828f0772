/** What a checkpoint is known to answer: the `reference.json` beside it, and the text its loss is about. */
import * as v from 'valibot';
import { ConfigError } from '../../core/errors.ts';
import { parseStrictJson } from '../../model/safetensors/strict-json.ts';
import type { Platform } from '../../platform/platform.ts';

const Ids = v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0)));

const KnownAnswersFile = v.object({
  prompts: v.pipe(
    v.array(
      v.object({
        text: v.string(),
        ids: Ids,
        last_logits: v.array(v.number()),
        /** [layer][token][choice] */
        router_top2: v.array(v.array(Ids)),
        greedy_ids: Ids,
      }),
    ),
    v.minLength(1),
  ),
  cross_entropy: v.object({
    window: v.pipe(v.number(), v.integer(), v.minValue(2)),
    window_nll_sums: v.pipe(v.array(v.number()), v.minLength(1)),
  }),
});

export type KnownAnswers = v.InferOutput<typeof KnownAnswersFile> & {
  /** Text of which `cross_entropy` gives the loss, window by window. */
  readonly validText: string;
};

/** @throws ConfigError when the folder has no such files or they hold something else. */
export async function readKnownAnswers(
  folder: string,
  readFile: Platform['readFile'],
): Promise<KnownAnswers> {
  const path = `${folder}/reference.json`;
  const parsed = v.safeParse(KnownAnswersFile, parseStrictJson(await readFile(path), path));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new ConfigError(`${path}: ${v.getDotPath(issue) ?? 'the file'}: ${issue.message}.`);
  }
  const validText = new TextDecoder().decode(await readFile(`${folder}/valid.txt`));
  return { ...parsed.output, validText };
}

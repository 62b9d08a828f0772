/** The token ids that a continuation begins with, and whether a model has positions for it. */
import { ConfigError } from '../../core/errors.ts';
import type { Tokenizer } from './tokenizer.ts';

/** @param chat the prompt is a message of a user. @throws ConfigError for a chat without a template. */
export function idsOf(
  tokenizer: Tokenizer,
  { prompt, chat = false }: { readonly prompt: string; readonly chat?: boolean },
): number[] {
  if (!chat) return tokenizer.encode(prompt);
  if (tokenizer.chat === undefined) {
    throw new ConfigError(
      'this model comes without a chat template (in tokenizer_config.json or chat_template.jinja). Leave --chat out.',
    );
  }
  return tokenizer.chat([{ role: 'user', content: prompt }]);
}

/** @param count of the prompt, in units of `of`. @throws ConfigError for more positions than the model has. */
export function checkLength(count: number, of: string, tokens: number, maxPositions: number): void {
  const length = count + tokens;
  if (length <= maxPositions) return;
  throw new ConfigError(
    `${count} prompt ${of} and ${tokens} tokens make ${length} positions; the model was trained ` +
      `for ${maxPositions}. Shorten one of them by ${length - maxPositions}.`,
  );
}

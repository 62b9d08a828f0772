/** Text to token ids and back. */

/** A message of a conversation, as chat templates know them. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** Text of tokens that come one by one. All that it gives, joined, is the text of all tokens. */
export interface TextStream {
  /** What can be told now: a character whose bytes are not all there waits. */
  push(id: number): string;
  /** What still waits, with the replacement character for bytes that make no character. */
  end(): string;
}

/** What turns text into token ids and back: of characters, or what a tokenizer.json describes. */
export interface Tokenizer {
  /** Number of tokens. */
  readonly size: number;
  /** With what the model wants around a text, such as a token for its beginning. @throws ConfigError for what it cannot write. */
  encode(text: string): number[];
  /** @throws ConfigError for an id that is none of its own. */
  decode(ids: Iterable<number>): string;
  stream(): TextStream;
  /**
   * The ids of a conversation that the model is to continue. Absent where there is no chat template.
   * @throws ConfigError when the template fails.
   */
  chat?(messages: readonly ChatMessage[]): number[];
}

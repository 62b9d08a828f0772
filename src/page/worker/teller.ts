/** Progress on its way to the page: gathered, and told at most ten times a second. */
import type { Progress as Steps } from '../../bench/progress.ts';
import type { Progress } from '../protocol/reports.ts';

const PAUSE_MS = 100;

type Gathered = { -readonly [K in keyof Progress]: Progress[K] };

export class Teller {
  readonly #send: (progress: Progress) => void;
  #pending: Gathered = {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastMs = -PAUSE_MS;

  constructor(send: (progress: Progress) => void) {
    this.#send = send;
  }

  /** Lists are added to what waits; of a row only the last state is told, of all else the last value. */
  tell(part: Progress): void {
    const { cases, rows, tokens, ended, ...values } = part;
    const pending = Object.assign(this.#pending, values);
    if (ended) pending.ended = [...(pending.ended ?? []), ...ended];
    if (cases) pending.cases = [...(pending.cases ?? []), ...cases];
    if (tokens) pending.tokens = [...(pending.tokens ?? []), ...tokens];
    for (const row of rows ?? []) {
      const others = (pending.rows ?? []).filter(
        ({ family, name, variant }) => family !== row.family || name !== row.name || variant !== row.variant,
      );
      pending.rows = [...others, row];
    }
    if (this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#lastMs + PAUSE_MS - performance.now());
    this.#timer = setTimeout(() => this.flush(), waitMs);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (Object.keys(this.#pending).length === 0) return;
    const pending = this.#pending;
    this.#pending = {};
    this.#lastMs = performance.now();
    this.#send(pending);
  }

  readonly steps: Steps = {
    step: async (title, work, outcome) => {
      this.tell({ title, text: '' });
      const result = await work((text) => this.tell({ text }));
      this.tell({ ended: [{ title, outcome: outcome?.(result) ?? '' }] });
      return result;
    },
  };
}

/** Work on one thing, one piece after the other in the order it was asked for, whoever awaits it or not. */
import { throwIfCancelled, unlessCancelled } from '../core/async/cancel.ts';

export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #asked = 0;

  /** True while work runs or waits. */
  get busy(): boolean {
    return this.#asked > 0;
  }

  /** Pieces that were asked for and have not begun. */
  get waiting(): number {
    return Math.max(0, this.#asked - 1);
  }

  /**
   * Runs `work` when all that was asked for before has ended, well or not. @throws CancelledError when the signal is
   * aborted before its turn has come; later the work itself has to look at it.
   */
  take<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#asked += 1;
    const come = this.#last.then(() => throwIfCancelled(signal));
    const turn = come.then(work).finally(() => {
      this.#asked -= 1;
    });
    this.#last = turn.then(nothing, nothing);
    return unlessCancelled(come, signal).then(() => turn);
  }
}

function nothing(): void {
  // Whoever asked is told; the next turn is not concerned.
}

/** Work on one thing, one piece after the other in the order it was asked for, whoever awaits it or not. */

export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** True while work runs or waits. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** Runs `work` when all that was asked for before has ended, well or not. */
  take<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const turn = this.#last.then(work).finally(() => {
      this.#waiting -= 1;
    });
    this.#last = turn.then(nothing, nothing);
    return turn;
  }
}

function nothing(): void {
  // Whoever asked is told; the next turn is not concerned.
}

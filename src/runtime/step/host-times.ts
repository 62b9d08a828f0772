/** What the host did during a step, one thing after the other without a gap. */

/** `read-back` includes the wait for the device. */
export type HostPhase = 'plan' | 'record' | 'submit' | 'read-back';

export interface HostTime {
  readonly phase: HostPhase;
  /** By the host's clock, ns. */
  readonly beginNs: number;
  readonly endNs: number;
}

export class HostTimes {
  readonly #times: HostTime[] = [];
  #phase: HostPhase;
  #beginNs: number;

  constructor(phase: HostPhase, beginNs: number) {
    this.#phase = phase;
    this.#beginNs = beginNs;
  }

  /** From `ns` on the host is at `phase`. */
  begin(phase: HostPhase, ns: number): void {
    if (ns > this.#beginNs) this.#times.push({ phase: this.#phase, beginNs: this.#beginNs, endNs: ns });
    this.#phase = phase;
    this.#beginNs = ns;
  }

  end(ns: number): readonly HostTime[] {
    this.begin(this.#phase, ns);
    return this.#times;
  }
}

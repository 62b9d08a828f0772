/**
 * What has become of a device: an error that it reported meanwhile, its loss, or its end. Whoever waits for it waits
 * here, so that every wait ends and says why.
 */
import { cancelledBy, onAbort } from '../core/async/cancel.ts';
import { CancelledError, ConfigError, DeviceError, messageOf } from '../core/errors.ts';

/** How long a wait that ended without a reason stays for the loss that may explain it, ms. A guess. */
const GRACE_MS = 50;

export class DeviceState {
  readonly #device: GPUDevice;
  readonly #name: string;
  readonly #waiting = new Set<(reason: Error) => void>();
  #pending: string | undefined;
  #ended: string | undefined;

  /** @param name of the adapter, for messages. */
  constructor(device: GPUDevice, name: string) {
    this.#device = device;
    this.#name = name;
    device.addEventListener('uncapturederror', this.#onError);
    void device.lost.then((info) => this.#end(this.#lossText(info)));
  }

  /** @throws DeviceError when the device is lost or closed: nothing can be done with it any more. */
  check(): void {
    if (this.#ended !== undefined) throw new DeviceError(this.#ended);
  }

  /** @throws DeviceError for the first error reported since the last call, and for a lost device each time. */
  throwPending(): void {
    const message = this.#pending;
    this.#pending = undefined;
    this.check();
    if (message !== undefined) throw new DeviceError(`The adapter reported: ${message}`);
  }

  /**
   * Waits for `work`, but not beyond the device's end, nor once the signal was aborted.
   * @throws DeviceError with the reason when the device is lost or closed meanwhile, or has reported what made it fail.
   * @throws CancelledError when the signal is aborted first.
   */
  async wait<T>(what: string, work: Promise<T>, signal?: AbortSignal): Promise<T> {
    let stop: (reason: Error) => void = () => undefined;
    const ended = new Promise<never>((_, reject) => {
      stop = reject;
      this.#waiting.add(reject);
    });
    const end = onAbort(signal, () => signal && stop(cancelledBy(signal)));
    try {
      this.check();
      return await Promise.race([work, ended]);
    } catch (error) {
      if (error instanceof CancelledError || error instanceof DeviceError) throw error;
      if (this.#pending === undefined) await this.#grace();
      if (error instanceof ConfigError) {
        // What a lost device refuses is not the caller's mistake.
        this.check();
        throw error;
      }
      this.throwPending();
      throw new DeviceError(`${what} failed on ${this.#name}: ${reasonOf(error)}`);
    } finally {
      end();
      this.#waiting.delete(stop);
      // Nobody looks at the loser of the race.
      ended.catch(() => undefined);
      work.catch(() => undefined);
    }
  }

  /** Ends all waits. The listener keeps the device's threads alive in Dawn, so it goes first. */
  close(): void {
    this.#device.removeEventListener('uncapturederror', this.#onError);
    this.#end(`The device of ${this.#name} was closed. Open the adapter again.`);
  }

  readonly #onError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    this.#pending ??= event.error.message || 'an error without a message';
  };

  #lossText({ reason, message }: GPUDeviceLostInfo): string {
    const why = message || (reason === 'destroyed' ? 'it was destroyed' : 'its driver gives no reason');
    const before = this.#pending === undefined ? '' : ` It had reported: ${this.#pending}.`;
    return `The device of ${this.#name} was lost: ${why.replace(/\.?$/, '.')}${before} Open the adapter again.`;
  }

  /** The first reason stays. */
  #end(reason: string): void {
    this.#ended ??= reason;
    for (const reject of this.#waiting) reject(new DeviceError(this.#ended));
    this.#waiting.clear();
  }

  async #grace(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise((resolve) => {
      timer = setTimeout(resolve, GRACE_MS);
    });
    await Promise.race([this.#device.lost, over]);
    clearTimeout(timer);
  }
}

function reasonOf(error: unknown): string {
  return messageOf(error) || (error instanceof Error ? error.name : 'no reason was given');
}

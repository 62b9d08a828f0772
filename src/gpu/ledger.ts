/** Every live buffer with its bytes and purpose. llvmpipe never reports out of memory, so we count ourselves. */
import { invariant } from '../core/errors.ts';

export interface LedgerEntry {
  readonly label: string;
  readonly bytes: number;
}

export class MemoryLedger {
  readonly #live = new Map<number, LedgerEntry>();
  #bytes = 0;
  #peak = 0;

  add(id: number, entry: LedgerEntry): void {
    this.#live.set(id, entry);
    this.#bytes += entry.bytes;
    this.#peak = Math.max(this.#peak, this.#bytes);
  }

  remove(id: number): void {
    const entry = this.#live.get(id);
    invariant(entry !== undefined, () => `buffer ${id} was destroyed twice`);
    this.#live.delete(id);
    this.#bytes -= entry.bytes;
  }

  /** Bytes of all live buffers. */
  get bytes(): number {
    return this.#bytes;
  }

  get peakBytes(): number {
    return this.#peak;
  }

  get count(): number {
    return this.#live.size;
  }

  /** Bytes of live buffers by the first part of their label: 'weights/l0/wqkv' counts for 'weights'. */
  byPurpose(): Record<string, number> {
    const totals: Record<string, number> = {};
    for (const { label, bytes } of this.#live.values()) {
      const purpose = label.split('/')[0] ?? label;
      totals[purpose] = (totals[purpose] ?? 0) + bytes;
    }
    return totals;
  }
}

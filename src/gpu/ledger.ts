/** Every live buffer with its bytes and purpose. llvmpipe never reports out of memory, so we count ourselves. */
import { invariant } from '../core/errors.ts';

export interface LedgerEntry {
  readonly label: string;
  readonly bytes: number;
}

export class MemoryLedger {
  readonly #live = new Map<number, LedgerEntry>();
  readonly #held = new Map<symbol, LedgerEntry>();
  readonly #whole: MemoryLedger | undefined;
  #bytes = 0;
  #peak = 0;

  /** @param whole that this one is a part of: what is entered here is entered there too. */
  constructor(whole?: MemoryLedger) {
    this.#whole = whole;
  }

  add(id: number, entry: LedgerEntry): void {
    this.#live.set(id, entry);
    this.#bytes += entry.bytes;
    this.#peak = Math.max(this.#peak, this.#bytes);
    this.#whole?.add(id, entry);
  }

  remove(id: number): void {
    const entry = this.#live.get(id);
    invariant(entry !== undefined, () => `buffer ${id} was destroyed twice`);
    this.#live.delete(id);
    this.#bytes -= entry.bytes;
    this.#whole?.remove(id);
  }

  /**
   * What the runtime holds for itself for a while, apart from the buffers: staging, query sets, parameters.
   * @returns its end; more than one call ends it once.
   */
  hold(label: string, bytes: number): () => void {
    const key = Symbol(label);
    this.#held.set(key, { label, bytes });
    const end = this.#whole?.hold(label, bytes);
    return () => {
      this.#held.delete(key);
      end?.();
    };
  }

  /** Bytes that are held, by the first part of their label. */
  heldByPurpose(): Record<string, number> {
    return totals(this.#held.values());
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
    return totals(this.#live.values());
  }
}

function totals(entries: Iterable<LedgerEntry>): Record<string, number> {
  const byPurpose: Record<string, number> = {};
  for (const { label, bytes } of entries) {
    const purpose = label.split('/')[0] ?? label;
    byPurpose[purpose] = (byPurpose[purpose] ?? 0) + bytes;
  }
  return byPurpose;
}

/**
 * Names of adapters by their hash, on both sides of the thread boundary: a thread sends a name once, the other side
 * keeps it for whoever has to show it.
 * @module
 */
import type { AdapterList } from "./page-facts.ts";

/** Names kept; beyond, the oldest is forgotten (a thread forgets all and sends anew). */
export const ADAPTER_NAMES_MAX = 65_536;

export class AdapterNames {
  readonly #names = new Map<string, string>();

  set(lo: number, hi: number, name: string): void {
    const key = keyOf(lo, hi);
    if (this.#names.size >= ADAPTER_NAMES_MAX && !this.#names.has(key)) {
      for (const oldest of this.#names.keys()) {
        this.#names.delete(oldest);
        break;
      }
    }
    this.#names.set(key, name);
  }

  /** Name with this hash, if one has been seen. */
  get(lo: number, hi: number): string | undefined {
    return this.#names.get(keyOf(lo, hi));
  }
}

/** Hashes that a thread has sent; the check costs one set look-up per adapter and page, no string. */
export class SentNames {
  /** Halves of a hash as one number: 53 of its 64 bits, and a name that collides in them is only not shown. */
  readonly #sent = new Set<number>();

  /** Calls `send` for each name that has not been sent. */
  each(adapters: AdapterList, send: (lo: number, hi: number, name: string) => void): void {
    for (let i = 0; i < adapters.count; i++) {
      const lo = adapters.hashes[2 * i]!;
      const hi = adapters.hashes[2 * i + 1]!;
      const key = (hi & 0x1fffff) * 2 ** 32 + lo;
      if (this.#sent.has(key)) continue;
      if (this.#sent.size >= ADAPTER_NAMES_MAX) this.#sent.clear();
      this.#sent.add(key);
      send(lo, hi, adapters.nameAt(i));
    }
  }
}

function keyOf(lo: number, hi: number): string {
  return `${hi}:${lo}`;
}

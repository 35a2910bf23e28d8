/**
 * The gateway's subset hint: which endpoints it lets us choose from.
 *
 *   hint ["10.0.0.1:8000,10.0.0.2", "[fd00::1]:8000"]
 *     └─ entries: address and port → the endpoint that listens there
 *                 address alone    → all its ports
 *                 anything else    → nobody
 * @module
 */
import type { Candidates } from "./candidates.ts";
import type { EndpointPool } from "./endpoints.ts";
import { canonicalAddress } from "./ip-address.ts";

/** Entries `ip:port`, `ip`, `[v6]:port`, `[v6]` or `v6`; an entry may itself be a comma list. An empty hint allows nobody. */
export type SubsetHint = readonly string[];

/** Entries looked at, twice the largest pool; what follows is not. */
const ENTRIES_MAX = 8192;

/** `[v6]`, `[v6]:port` */
const BRACKETED = /^\[([^[\]]*)\](?::(\d{1,5}))?$/;
/** `ip:port`; more colons make it an IPv6 address. */
const WITH_PORT = /^([^:]+):(\d{1,5})$/;

/** Endpoints by the address and port that a text names. */
export class AddressIndex {
  readonly #pool: EndpointPool;
  /** Canonical address → slots; holds for `#version` of the pool. */
  readonly #slotsByAddress = new Map<string, number[]>();
  #version = -1;

  constructor(pool: EndpointPool) {
    this.#pool = pool;
  }

  /** Calls `found` with the slots that each entry names, in the order of the entries; one may come several times. */
  each(hint: SubsetHint, found: (slot: number) => void): void {
    if (this.#version !== this.#pool.version) this.#index();
    let left = ENTRIES_MAX;
    for (const item of hint) {
      for (let start = 0; start <= item.length && left > 0; left--) {
        const comma = item.indexOf(",", start);
        const end = comma < 0 ? item.length : comma;
        this.#name(item.slice(start, end).trim(), found);
        start = end + 1;
      }
    }
  }

  #name(entry: string, found: (slot: number) => void): void {
    if (entry === "") return;
    const match = BRACKETED.exec(entry) ?? WITH_PORT.exec(entry);
    const address = match === null ? entry : match[1]!;
    const port = match?.[2];
    const slots = this.#slotsByAddress.get(canonicalAddress(address));
    if (slots === undefined) return;
    for (const slot of slots) {
      if (port === undefined || this.#pool.metadata(slot).port === Number(port)) found(slot);
    }
  }

  #index(): void {
    const pool = this.#pool;
    this.#slotsByAddress.clear();
    for (let i = 0; i < pool.liveCount; i++) {
      const slot = pool.live[i]!;
      const address = canonicalAddress(pool.metadata(slot).address);
      const slots = this.#slotsByAddress.get(address);
      if (slots === undefined) this.#slotsByAddress.set(address, [slot]);
      else slots.push(slot);
    }
    this.#version = pool.version;
  }
}

/**
 * Keeps the candidates that a hint names. Finds them by address, so that a short hint to a large pool is cheap.
 *
 * Source: 004-endpoint-picker-protocol of gateway-api-inference-extension; upstream compares addresses only.
 */
export class SubsetFilter {
  readonly #addresses: AddressIndex;
  /** Number of the call whose hint named the slot last. */
  #namedIn = new Float64Array(0);
  #call = 0;

  constructor(pool: EndpointPool) {
    this.#addresses = new AddressIndex(pool);
  }

  /** Shortens `candidates`, order kept. */
  apply(hint: SubsetHint, candidates: Candidates): void {
    const { columns, count, slots } = candidates;
    if (this.#namedIn.length < columns.capacity) this.#namedIn = new Float64Array(columns.capacity);
    this.#call++;
    this.#addresses.each(hint, this.#found);
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (this.#namedIn[slot] === this.#call) slots[kept++] = slot;
    }
    candidates.count = kept;
  }

  readonly #found = (slot: number): void => {
    this.#namedIn[slot] = this.#call;
  };
}

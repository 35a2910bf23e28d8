/**
 * Paged KV cache of one engine with prefix caching: a prompt block that is full is named by its chained hash and shared;
 * named blocks that nobody uses stay as cache until room is needed, least recently used first.
 *
 *   free ──acquire, extend──▶ private ──name──▶ named, refs > 0 ⇄ idle (refs = 0) ──room needed──▶ free
 *     ▲──────release────────────┘
 *
 * Invariants: free + idle + in use = blocksMax. A named block's predecessor in the prompt is named too and is evicted
 * after it, so what a look-up finds is always a whole beginning of a prompt.
 * @module
 */

export class KvCache {
  readonly blocksMax: number;
  /** Users of each named block by its hash. */
  readonly #named = new Map<number, number>();
  /** Named blocks without users, least recently used first. */
  readonly #idle = new Set<number>();
  #free: number;

  /** @param blocksMax blocks of the cache, >= 1 */
  constructor(blocksMax: number) {
    this.blocksMax = blocksMax;
    this.#free = blocksMax;
  }

  /** Blocks that requests use now. */
  get inUse(): number {
    return this.blocksMax - this.available;
  }

  /** Blocks that hold cache and have no user. */
  get cached(): number {
    return this.#idle.size;
  }

  /** Share of the blocks in use, 0..1. */
  get utilization(): number {
    return this.inUse / this.blocksMax;
  }

  /** Blocks that could be given out: free ones and idle ones. */
  get available(): number {
    return this.#free + this.#idle.size;
  }

  /** Leading blocks of a prompt that are in the cache. */
  lookup(hashes: Float64Array): number {
    let hits = 0;
    while (hits < hashes.length && this.#named.has(hashes[hits]!)) hits++;
    return hits;
  }

  /**
   * Takes the first `namedCount` blocks of a prompt, which must be in the cache, and `privateCount` unnamed ones.
   *
   * @returns false, and nothing taken, when there is not enough room
   */
  acquire(hashes: Float64Array, namedCount: number, privateCount: number): boolean {
    let idleHits = 0;
    for (let i = 0; i < namedCount; i++) if (this.#idle.has(hashes[i]!)) idleHits++;
    if (privateCount > this.available - idleHits) return false;
    // Hits first: room for the others must not be made by evicting them.
    for (let i = 0; i < namedCount; i++) this.#use(hashes[i]!);
    this.#take(privateCount);
    return true;
  }

  /** More private blocks. @returns false, and nothing taken, when there is not enough room */
  extend(count: number): boolean {
    if (count > this.available) return false;
    this.#take(count);
    return true;
  }

  /**
   * A private block of the caller is full: it is cache from now on, and the caller uses it by name. When another request
   * has filled an equal block before, the caller shares that one and its own becomes free.
   */
  name(hash: number): void {
    if (!this.#named.has(hash)) {
      this.#named.set(hash, 1);
      return;
    }
    this.#use(hash);
    this.#free++;
  }

  /** Gives blocks back; named ones stay as cache, the last of the prompt to be evicted first. */
  release(hashes: Float64Array, namedCount: number, privateCount: number): void {
    for (let i = namedCount - 1; i >= 0; i--) {
      const hash = hashes[i]!;
      const refs = this.#named.get(hash)! - 1;
      this.#named.set(hash, refs);
      if (refs === 0) this.#idle.add(hash);
    }
    this.#free += privateCount;
  }

  #use(hash: number): void {
    this.#named.set(hash, this.#named.get(hash)! + 1);
    this.#idle.delete(hash);
  }

  #take(count: number): void {
    const evictions = count - this.#free;
    this.#free = Math.max(0, this.#free - count);
    let evicted = 0;
    for (const hash of this.#idle) {
      if (evicted >= evictions) return;
      this.#idle.delete(hash);
      this.#named.delete(hash);
      evicted++;
    }
  }
}

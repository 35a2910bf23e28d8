/**
 * Paged KV cache of one engine with prefix caching: full prompt blocks are named by their chained hash and shared; blocks
 * that nobody uses stay as cache until room is needed, least recently used first.
 *
 *   free        never used or evicted          count only
 *   in use      refs > 0                       named (by hash) or private (decode, partial tail)
 *   idle        refs = 0, named                a Map in order of last use: first = next to be evicted
 *
 * Invariant: free + idle + in use = blocksMax.
 * @module
 */

interface Block {
  refs: number;
}

export class KvCache {
  readonly blocksMax: number;
  readonly #named = new Map<number, Block>();
  /** Named blocks without users, oldest first. */
  readonly #idle = new Map<number, Block>();
  #free: number;

  /** @param blocksMax blocks of the cache, >= 1 */
  constructor(blocksMax: number) {
    this.blocksMax = blocksMax;
    this.#free = blocksMax;
  }

  /** Blocks that requests use now. */
  get inUse(): number {
    return this.blocksMax - this.#free - this.#idle.size;
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
   * Takes the named blocks of a prompt and `privateCount` unnamed ones.
   *
   * @returns false, and nothing taken, when there is not enough room
   */
  acquire(hashes: Float64Array, privateCount: number): boolean {
    let needed = privateCount;
    let idleHits = 0;
    for (const hash of hashes) {
      const block = this.#named.get(hash);
      if (block === undefined) needed++;
      else if (block.refs === 0) idleHits++;
    }
    if (needed > this.available - idleHits) return false;
    for (const hash of hashes) {
      const block = this.#named.get(hash);
      if (block === undefined) continue;
      if (block.refs++ === 0) this.#idle.delete(hash);
    }
    for (const hash of hashes) {
      if (this.#named.has(hash)) continue;
      this.#take();
      this.#named.set(hash, { refs: 1 });
    }
    for (let i = 0; i < privateCount; i++) this.#take();
    return true;
  }

  /** One more private block, for decode. @returns false when there is none */
  extend(): boolean {
    if (this.available === 0) return false;
    this.#take();
    return true;
  }

  /** Gives a request's blocks back; named ones stay as cache, the last blocks of the prompt oldest. */
  release(hashes: Float64Array, privateCount: number): void {
    for (let i = hashes.length - 1; i >= 0; i--) {
      const hash = hashes[i]!;
      const block = this.#named.get(hash)!;
      if (--block.refs === 0) this.#idle.set(hash, block);
    }
    this.#free += privateCount;
  }

  #take(): void {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const oldest = this.#idle.keys().next().value!;
    this.#idle.delete(oldest);
    this.#named.delete(oldest);
  }
}

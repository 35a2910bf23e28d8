/**
 * Which endpoint holds which blocks of which prompts, as far as our own picks tell. It knows no tokens and no text, only
 * chained 64-bit block hashes, and it is bounded: per endpoint by the endpoint's capacity, in all by `bytesMax`.
 *
 *   slot ──▶ list ──▶ its blocks, newest to oldest (block-rows.ts)      a departed endpoint's list keeps its number
 *     7       3       sys0 sys1 sys2 turn0 turn1 │ old0 old1             until its rows are freed, a few per insertion
 *
 * Invariant: what an endpoint holds is closed under "the block before". A hash names its whole prefix, an insertion makes
 * block 0 the most recent and every later block a little older, and only the oldest row is ever evicted; so a block leaves
 * after its successors, and no prompt has gaps. Hence holders(block i) ⊇ holders(block i + 1), which `match` and `insert`
 * rest on: they search instead of walking, and a block found missing ends the prompt.
 *
 * Memory: 32 bytes per (block, endpoint), see block-rows.ts, and about 200 KB for the lists. When the table is full, an endpoint
 * below its equal share takes the oldest rows of one above it.
 * @module
 */
import { limits } from "../limits.ts";
import { BlockRows, LISTS_MAX } from "./block-rows.ts";

/** Rows of departed endpoints freed per insertion: some microseconds each time instead of a pause at the departure. */
const RECLAIM_PER_INSERTION = 256;

const BYTES_MIN = 4096;

export interface PrefixIndexOptions {
  /** Ceiling for rows and buckets together, bytes; at least 4096. */
  readonly bytesMax: number;
  /** Blocks of an endpoint whose capacity was not set; at least 1. */
  readonly capacityDefault: number;
}

/**
 * Hashes are passed as `words`: lo and hi half of block 0, lo and hi of block 1, …; `from` and `to` count blocks, and
 * `from` is always the first block of a prompt. Slots are below limits.endpointsMax.
 *
 * Thread: scheduler only, synchronous. The table is allocated on the first insertion, after that only a scratch that
 * doubles up to the longest prompt.
 */
export class PrefixIndex {
  readonly #rows: BlockRows;
  readonly #capacityDefault: number;

  readonly #capacities = new Int32Array(LISTS_MAX + 1);
  /** Slot of a list, -1 once its endpoint has left. */
  readonly #slotOf = new Int32Array(LISTS_MAX + 1);
  /** List of a slot, 0 = none. */
  readonly #listOf = new Int32Array(limits.endpointsMax);
  readonly #idle: number[] = [];
  /** Lists whose endpoint has left and that still have rows. */
  readonly #departed: number[] = [];
  #listsUsed = 0;
  #listsLive = 0;
  /** Rows of departed lists. */
  #rowsDeparted = 0;
  #victim = 0;

  /** Epoch in which a slot was credited last, so that a match credits each endpoint once, with its deepest block. */
  readonly #creditedAt = new Int32Array(limits.endpointsMax);
  #epoch = 0;

  constructor(options: PrefixIndexOptions) {
    const { bytesMax, capacityDefault } = options;
    if (!(bytesMax >= BYTES_MIN)) {
      throw new RangeError(`PrefixIndex: bytesMax must be >= ${BYTES_MIN}, got ${bytesMax}`);
    }
    if (!(capacityDefault >= 1)) {
      throw new RangeError(`PrefixIndex: capacityDefault must be >= 1, got ${capacityDefault}`);
    }
    this.#rows = new BlockRows(bytesMax);
    this.#capacityDefault = capacityDefault;
  }

  /** (block, endpoint) pairs that fit. */
  get sizeMax(): number {
    return this.#rows.rowsMax;
  }

  /** (block, endpoint) pairs held by endpoints that are there. */
  get size(): number {
    return this.#rows.used - this.#rowsDeparted;
  }

  /** Pairs of departed endpoints that wait to be freed. */
  get sizeDeparted(): number {
    return this.#rowsDeparted;
  }

  /** Distinct blocks. */
  get blocks(): number {
    return this.#rows.blocks;
  }

  /** Bytes reserved: 0 before the first insertion, about `bytesMax` after it. */
  get bytes(): number {
    return this.#rows.bytes;
  }

  /** Blocks that an endpoint holds. */
  sizeOf(slot: number): number {
    return this.#rows.sizes[this.#listOf[slot]!]!;
  }

  /** Sets how many blocks an endpoint can hold (>= 1); shrinking evicts its oldest blocks at once. */
  setCapacity(slot: number, blocks: number): void {
    const rows = this.#rows;
    const list = this.#listFor(slot);
    const capacity = Math.max(1, Math.min(blocks, rows.rowsMax));
    this.#capacities[list] = capacity;
    while (rows.sizes[list]! > capacity) rows.drop(rows.oldest[list]!);
  }

  /**
   * Adds to `depths[slot]`, for every endpoint that holds the first block of a prompt, the number of leading blocks that
   * it holds without a gap. Slots that hold nothing are left alone.
   *
   * Searches the deepest block that anybody holds, credits its holders, and jumps to the nearest block towards the start
   * that has more of them: a prompt costs some dozens of look-ups however long it is, plus one visit per holder and jump.
   *
   * @param depths indexed by slot, longer than any slot in use
   * @returns leading blocks that the best endpoint holds
   */
  match(words: Uint32Array, from: number, to: number, depths: Float64Array): number {
    const rows = this.#rows;
    if (rows.used === 0 || to <= from) return 0;
    const root = rows.leader(words, from);
    if (root === 0) return 0;

    // Gallop from the start, then halve: [last, missing) always begins with a held block.
    let last = from;
    let leader = root;
    let missing = to;
    for (let step = 1; missing - last > 1; ) {
      const probe = last + step < missing ? last + step : (last + missing) >>> 1;
      const row = rows.leader(words, probe);
      if (row === 0) {
        missing = probe;
        step = to; // from here on halving
      } else {
        last = probe;
        leader = row;
        step *= 2;
      }
    }

    const best = last - from + 1;
    const holdersMost = rows.holders(root);
    this.#nextEpoch();
    for (;;) {
      const holders = rows.holders(leader);
      this.#credit(leader, last - from + 1, depths);
      if (last === from || holders >= holdersMost) return best; // the holders of block 0 are all credited
      let more = from; // a block with more holders, and the first one known to have no more
      let same = last;
      leader = root;
      while (same - more > 1) {
        const probe = (more + same) >>> 1;
        const row = rows.leader(words, probe);
        if (row !== 0 && rows.holders(row) > holders) {
          more = probe;
          leader = row;
        } else same = probe;
      }
      last = more;
    }
  }

  /**
   * Records that an endpoint computes a prompt. Its blocks become the endpoint's most recent ones, block 0 first; of a
   * prompt longer than the endpoint's capacity, or than its share of a full table, the head is kept.
   *
   * @returns blocks that the endpoint did not hold before
   */
  insert(slot: number, words: Uint32Array, from: number, to: number): number {
    if (to <= from) return 0;
    const rows = this.#rows;
    rows.allocate();
    const list = this.#listFor(slot);
    this.#reclaim(RECLAIM_PER_INSERTION);
    const count = Math.min(to - from, this.#capacities[list]!);
    const held = rows.walk(list, words, from, count);
    rows.renew(list, held);
    if (rows.looped) return 0;
    let before = held === 0 ? 0 : rows.path[held - 1]!;
    let placed = held;
    while (placed < count && this.#makeRoom(list, placed)) {
      const row = rows.add(list, words, from + placed, before);
      if (row === 0) break;
      before = row;
      placed++;
    }
    if (placed > held) rows.markLast(before);
    return placed - held;
  }

  /**
   * Takes back the blocks that the insertion of this prompt added, from the last one towards the first, as far as no other
   * insertion has touched them. Nothing is taken when the last block was there before, has been inserted again, or is
   * gone: then others may rely on what is left.
   *
   * @returns blocks removed
   */
  truncate(slot: number, words: Uint32Array, from: number, to: number): number {
    const rows = this.#rows;
    const list = this.#listOf[slot]!;
    const held = rows.walk(list, words, from, Math.min(to - from, rows.sizes[list]!));
    rows.unmark(held);
    // A block that ended its only insertion is continued by nothing, so the invariant survives its removal; and so on up.
    if (held === 0 || !rows.last(rows.path[held - 1]!)) return 0;
    let kept = held;
    while (kept > 0 && rows.once(rows.path[kept - 1]!)) rows.drop(rows.path[--kept]!);
    return held - kept;
  }

  /** Forgets an endpoint at once; its rows are freed by the insertions that follow. */
  remove(slot: number): void {
    const list = this.#listOf[slot]!;
    if (list === 0) return;
    this.#listOf[slot] = 0;
    this.#slotOf[list] = -1;
    this.#listsLive--;
    const size = this.#rows.sizes[list]!;
    this.#rowsDeparted += size;
    (size === 0 ? this.#idle : this.#departed).push(list);
  }

  /** Forgets everything, capacities included. */
  clear(): void {
    this.#rows.clear();
    this.#listOf.fill(0);
    this.#idle.length = 0;
    this.#departed.length = 0;
    this.#listsUsed = 0;
    this.#listsLive = 0;
    this.#rowsDeparted = 0;
  }

  /** True when an endpoint holds this very block. @internal */
  holds(slot: number, words: Uint32Array, block: number): boolean {
    const list = this.#listOf[slot]!;
    return this.#rows.sizes[list]! > 0 && this.#rows.find(list, words, block) !== 0;
  }

  #nextEpoch(): void {
    if (this.#epoch === 0x7fff_ffff) {
      this.#creditedAt.fill(0);
      this.#epoch = 0;
    }
    this.#epoch++;
  }

  /** Credits the holders of a block that have not been credited in this epoch. */
  #credit(leader: number, depth: number, depths: Float64Array): void {
    const rows = this.#rows;
    const epoch = this.#epoch;
    for (let row = leader; row !== 0; row = rows.peer(row)) {
      const slot = this.#slotOf[rows.listOf(row)]!;
      if (slot < 0 || this.#creditedAt[slot] === epoch) continue;
      this.#creditedAt[slot] = epoch;
      depths[slot]! += depth;
    }
  }

  #listFor(slot: number): number {
    const known = this.#listOf[slot]!;
    if (known !== 0) return known;
    let list = this.#idle.pop();
    if (list === undefined && this.#listsUsed < LISTS_MAX) list = ++this.#listsUsed;
    if (list === undefined) {
      // Endpoints came and went faster than insertions reclaim: free one departed list now. There is one, because live
      // endpoints (limits.endpointsMax) need only half of the numbers.
      this.#reclaim(this.#rows.sizes[this.#departed.at(-1)!]!);
      list = this.#idle.pop()!;
    }
    this.#listOf[slot] = list;
    this.#slotOf[list] = slot;
    this.#capacities[list] = Math.min(this.#capacityDefault, this.#rows.rowsMax);
    this.#listsLive++;
    return list;
  }

  /** Frees up to `budget` rows of departed endpoints, oldest first so that the invariant holds for them too. */
  #reclaim(budget: number): void {
    const rows = this.#rows;
    for (let left = budget; left > 0 && this.#departed.length > 0; left--) {
      const list = this.#departed.at(-1)!;
      rows.drop(rows.oldest[list]!);
      this.#rowsDeparted--;
      if (rows.sizes[list] === 0) this.#idle.push(this.#departed.pop()!);
    }
  }

  /** Rows for each endpoint if all had the same; 0 when there are fewer rows than endpoints. */
  #share(): number {
    return Math.floor(this.#rows.rowsMax / this.#listsLive);
  }

  /**
   * Frees a row if the list or the table is full: the list's own oldest, one of the departed, or the oldest of a list
   * above its share.
   *
   * @param placed rows of the prompt being inserted; they are the newest of the list and must stay
   * @returns false when the list has its share of a full table and nothing but this prompt in it
   */
  #makeRoom(list: number, placed: number): boolean {
    const rows = this.#rows;
    const size = rows.sizes[list]!;
    if (size >= this.#capacities[list]!)
      rows.drop(rows.oldest[list]!); // capacity > placed
    else if (rows.used < rows.rowsMax) return true;
    else if (this.#departed.length > 0) this.#reclaim(1);
    else if (size > 0 && size >= this.#share()) {
      if (size === placed) return false;
      rows.drop(rows.oldest[list]!);
    } else rows.drop(rows.oldest[this.#aboveShare()]!);
    return true;
  }

  /** The next list in turn with more than its share. One exists: the table is full and the asking list is below. */
  #aboveShare(): number {
    const share = this.#share();
    do {
      this.#victim = this.#victim >= this.#listsUsed ? 1 : this.#victim + 1;
    } while (this.#rows.sizes[this.#victim]! <= share);
    return this.#victim;
  }
}

/**
 * The store under the prefix index: rows of (block, list) in one typed array, found by block hash, and one
 * least-recently-used list per endpoint. Mechanism only; capacities, shares and endpoints are the index's business.
 *
 *   buckets   hash ──▶ leader ──LINK──▶ next leader of the same bucket ──▶ …
 *                        │ PEER
 *                        ▼                one row per holder of the block; the leader's TAG counts them
 *                      holder ──PEER──▶ holder ──▶ …        (LINK of a holder leads back)
 *
 *   list      newest ──OLDER──▶ … ──OLDER──▶ oldest         (NEWER leads back)
 *
 *   row, 7 words of 4 bytes:  LO  HI  TAG  NEWER  OLDER  PEER  LINK
 *   TAG:  bits 0–12 list · 13 leader · 14 inserted more than once · 15 last block of an insertion · 16 mark of a running
 *         walk · 17–31 holders (leader only)
 *
 * Buckets grow one at a time as blocks come (linear hashing: the next bucket in turn is split), so there is no pause for
 * rehashing and a small table stays dense in memory. A row costs 28 bytes, a bucket 4; there are as many of one as of the
 * other where bytesMax is a power of two, hence 32 bytes a row.
 * @module
 */

const LO = 0;
const HI = 1;
const TAG = 2;
const NEWER = 3;
const OLDER = 4;
const PEER = 5;
const LINK = 6;
/** Words per row. Rows are named by the offset of their first word; 0 is "none", so the first row is never used. */
const ROW = 7;
const ROW_BYTES = 4 * ROW;
const BUCKET_BYTES = 4;

const LIST = 0x1fff;
const LEADER = 0x2000;
const REPEATED = 0x4000;
const LAST = 0x8000;
const MARKED = 0x1_0000;
const HOLDERS_SHIFT = 17;
const HOLDER = 1 << HOLDERS_SHIFT;
const NOT_HOLDERS = HOLDER - 1;

/** Highest list number; lists are numbered from 1. */
export const LISTS_MAX = LIST;

/** Hashes are `words`: lo and hi half of block 0, lo and hi of block 1, …; a `block` is an index into them. */
export class BlockRows {
  /** Rows that fit. */
  readonly rowsMax: number;
  /** Rows in lists. */
  used = 0;
  /** Distinct blocks. */
  blocks = 0;
  /** Ends and length of each list, by list number; 0 = empty. */
  readonly newest = new Int32Array(LISTS_MAX + 1);
  readonly oldest = new Int32Array(LISTS_MAX + 1);
  readonly sizes = new Int32Array(LISTS_MAX + 1);
  /** Rows found by the last walk. */
  path = new Int32Array(64);
  /** True when the last walk met one of its own rows again: the hashes collide and the walk ended there. */
  looped = false;

  #rows = new Int32Array(0);
  #buckets = new Int32Array(0);
  readonly #bucketsMax: number;
  /** Buckets in use, from #half up to 2 * #half: those from #half on were split off the ones #half below them. */
  #bucketCount = 1;
  #half = 1;
  /** First row never used, and the head of the rows given back (chained by OLDER). */
  #fresh = ROW;
  #free = 0;

  /** @param bytesMax ceiling for rows and buckets, >= 4096 */
  constructor(bytesMax: number) {
    this.#bucketsMax = 2 ** Math.floor(Math.log2(bytesMax / (ROW_BYTES + BUCKET_BYTES)));
    // Row names are offsets in an Int32Array and are stored in one: below 2^31.
    const words = Math.min(Math.floor(bytesMax / 4) - this.#bucketsMax, 2 ** 31 - ROW);
    this.rowsMax = Math.floor(words / ROW) - 1;
  }

  /** Bytes reserved: 0 before `allocate`. */
  get bytes(): number {
    return this.#rows.byteLength + this.#buckets.byteLength;
  }

  /** Reserves everything, once. The system commits zero pages only as they are written. */
  allocate(): void {
    if (this.#rows.length > 0) return;
    this.#rows = new Int32Array((this.rowsMax + 1) * ROW);
    this.#buckets = new Int32Array(this.#bucketsMax);
  }

  /** Empties all lists. */
  clear(): void {
    this.#buckets.fill(0, 0, this.#bucketCount);
    this.#bucketCount = 1;
    this.#half = 1;
    this.#fresh = ROW;
    this.#free = 0;
    this.used = 0;
    this.blocks = 0;
    this.newest.fill(0);
    this.oldest.fill(0);
    this.sizes.fill(0);
  }

  /** Row of the first holder of a block, 0 when nobody holds it. Needs `allocate`. */
  leader(words: Uint32Array, block: number): number {
    const rows = this.#rows;
    const lo = words[block * 2]! | 0;
    const hi = words[block * 2 + 1]! | 0;
    let row = this.#buckets[this.#bucketOf(lo)]!;
    while (row !== 0 && (rows[row] !== lo || rows[row + HI] !== hi)) row = rows[row + LINK]!;
    return row;
  }

  /** Holders of a block, given its leader; only an upper bound where hashes collide. */
  holders(leader: number): number {
    return this.#rows[leader + TAG]! >>> HOLDERS_SHIFT;
  }

  /** Next holder of the same block, 0 = none. */
  peer(row: number): number {
    return this.#rows[row + PEER]!;
  }

  listOf(row: number): number {
    return this.#rows[row + TAG]! & LIST;
  }

  /** Notes that an insertion which added this row ended with it. */
  markLast(row: number): void {
    this.#rows[row + TAG]! |= LAST;
  }

  /** True when exactly one insertion has touched the row, the one that added it. */
  once(row: number): boolean {
    return (this.#rows[row + TAG]! & REPEATED) === 0;
  }

  /** True when the insertion that added the row ended with it. */
  last(row: number): boolean {
    return (this.#rows[row + TAG]! & LAST) !== 0;
  }

  /** Leaders in the fullest bucket. @internal */
  bucketLengthMax(): number {
    let longest = 0;
    for (const leader of this.#buckets) {
      let length = 0;
      for (let row = leader; row !== 0; row = this.#rows[row + LINK]!) length++;
      longest = Math.max(longest, length);
    }
    return longest;
  }

  /** Row of a block in one list, 0 when it is not there. */
  find(list: number, words: Uint32Array, block: number): number {
    const rows = this.#rows;
    let row = this.leader(words, block);
    while (row !== 0 && (rows[row + TAG]! & LIST) !== list) row = rows[row + PEER]!;
    return row;
  }

  /**
   * Finds the leading blocks of [from, from + count) that a list holds and marks their rows; `renew` or `unmark` must
   * follow. The row after the previous block's is tried first: a prompt is inserted in one go, so it is nearly always the
   * right one and no bucket is visited.
   *
   * @returns blocks found; their rows are in `path`
   */
  walk(list: number, words: Uint32Array, from: number, count: number): number {
    this.looped = false;
    const most = Math.min(count, this.sizes[list]!);
    if (this.path.length < most) this.path = new Int32Array(2 ** Math.ceil(Math.log2(most)));
    const rows = this.#rows;
    const path = this.path;
    let guess = 0;
    for (let i = 0; i < most; i++) {
      const at = (from + i) * 2;
      let row = guess;
      if (row === 0 || rows[row] !== (words[at]! | 0) || rows[row + HI] !== (words[at + 1]! | 0)) {
        row = this.find(list, words, from + i);
        if (row === 0) return i;
      }
      const tag = rows[row + TAG]!;
      if ((tag & MARKED) !== 0) {
        this.looped = true;
        return i;
      }
      rows[row + TAG] = tag | MARKED;
      path[i] = row;
      guess = rows[row + OLDER]!;
    }
    return most;
  }

  /** Ends a walk that changes nothing. */
  unmark(found: number): void {
    for (let i = 0; i < found; i++) this.#rows[this.path[i]! + TAG]! &= ~MARKED;
  }

  /**
   * Ends a walk by making its rows the newest of their list, block 0 first, and noting that they were inserted again.
   * Stretches that are neighbors in the list already move as one, the last stretch first.
   */
  renew(list: number, found: number): void {
    const rows = this.#rows;
    const path = this.path;
    for (let end = found - 1; end >= 0; ) {
      const last = path[end]!;
      let first = last;
      let start = end;
      rows[first + TAG] = (rows[first + TAG]! & ~MARKED) | REPEATED;
      while (start > 0 && rows[path[start - 1]! + OLDER] === first) {
        first = path[--start]!;
        rows[first + TAG] = (rows[first + TAG]! & ~MARKED) | REPEATED;
      }
      end = start - 1;
      const newer = rows[first + NEWER]!;
      if (newer === 0) continue; // at the front already
      const older = rows[last + OLDER]!;
      rows[newer + OLDER] = older;
      if (older === 0) this.oldest[list] = newer;
      else rows[older + NEWER] = newer;
      const head = this.newest[list]!;
      rows[first + NEWER] = 0;
      rows[last + OLDER] = head;
      rows[head + NEWER] = last;
      this.newest[list] = first;
    }
  }

  /**
   * Adds a block to a list that does not hold it, just older than row `before` (0: as the newest). The caller has seen to
   * it that a row is free: used < rowsMax.
   *
   * @returns its row; 0 when the list turns out to hold the block (hashes collide), and nothing is added
   */
  add(list: number, words: Uint32Array, block: number, before: number): number {
    const rows = this.#rows;
    const leader = this.leader(words, block);
    const second = leader === 0 ? 0 : rows[leader + PEER]!;
    // New holders stand second, so a prompt that repeats a hash meets itself here. (Row 0 belongs to list 0: nobody.)
    if ((rows[leader + TAG]! & LIST) === list || (rows[second + TAG]! & LIST) === list) return 0;

    let row = this.#free;
    if (row === 0) {
      row = this.#fresh;
      this.#fresh += ROW;
    } else this.#free = rows[row + OLDER]!;
    rows[row + LO] = words[block * 2]!;
    rows[row + HI] = words[block * 2 + 1]!;

    rows[row + PEER] = second;
    if (leader === 0) {
      rows[row + TAG] = list | LEADER | HOLDER;
      this.#lead(row, this.#bucketOf(rows[row]!));
      this.blocks++;
      if (this.blocks > this.#bucketCount && this.#bucketCount < this.#bucketsMax) this.#split();
    } else {
      rows[row + TAG] = list;
      rows[row + LINK] = leader;
      rows[leader + PEER] = row;
      rows[leader + TAG]! += HOLDER;
      if (second !== 0) rows[second + LINK] = row;
    }

    const older = before === 0 ? this.newest[list]! : rows[before + OLDER]!;
    rows[row + NEWER] = before;
    rows[row + OLDER] = older;
    if (before === 0) this.newest[list] = row;
    else rows[before + OLDER] = row;
    if (older === 0) this.oldest[list] = row;
    else rows[older + NEWER] = row;
    this.sizes[list]!++;
    this.used++;
    return row;
  }

  /** Takes a row out of its list and its block, and frees it. */
  drop(row: number): void {
    const rows = this.#rows;
    const list = rows[row + TAG]! & LIST;
    const newer = rows[row + NEWER]!;
    const older = rows[row + OLDER]!;
    if (newer === 0) this.newest[list] = older;
    else rows[newer + OLDER] = older;
    if (older === 0) this.oldest[list] = newer;
    else rows[older + NEWER] = newer;
    if ((rows[row + TAG]! & LEADER) !== 0) this.#abdicate(row);
    else this.#leaveLeader(row);
    rows[row + OLDER] = this.#free;
    this.#free = row;
    this.sizes[list]!--;
    this.used--;
  }

  /** The hash is uniform: its low bits are the bucket. */
  #bucketOf(lo: number): number {
    const bucket = lo & (2 * this.#half - 1);
    return bucket < this.#bucketCount ? bucket : bucket - this.#half;
  }

  /** Puts a leader in front of its bucket. */
  #lead(row: number, bucket: number): void {
    this.#rows[row + LINK] = this.#buckets[bucket]!;
    this.#buckets[bucket] = row;
  }

  /** Adds a bucket and deals it those leaders of the bucket #half below that belong there now. */
  #split(): void {
    const rows = this.#rows;
    const from = this.#bucketCount - this.#half;
    let row = this.#buckets[from]!;
    this.#buckets[from] = 0;
    this.#bucketCount++;
    while (row !== 0) {
      const next = rows[row + LINK]!;
      this.#lead(row, this.#bucketOf(rows[row]!));
      row = next;
    }
    if (this.#bucketCount === 2 * this.#half) this.#half = this.#bucketCount;
  }

  /** Takes a holder that is not the leader out of its block. */
  #leaveLeader(row: number): void {
    const rows = this.#rows;
    const peer = rows[row + PEER]!;
    const back = rows[row + LINK]!;
    rows[back + PEER] = peer;
    if (peer !== 0) rows[peer + LINK] = back;
    let leader = this.#buckets[this.#bucketOf(rows[row]!)]!;
    while (rows[leader] !== rows[row] || rows[leader + HI] !== rows[row + HI]) {
      leader = rows[leader + LINK]!;
    }
    rows[leader + TAG]! -= HOLDER;
  }

  /** Takes a leader out of its bucket; the next holder, if any, takes its place there. */
  #abdicate(row: number): void {
    const rows = this.#rows;
    const peer = rows[row + PEER]!;
    let heir = rows[row + LINK]!;
    if (peer === 0) this.blocks--;
    else {
      rows[peer + LINK] = heir;
      rows[peer + TAG] =
        (rows[peer + TAG]! & NOT_HOLDERS) | LEADER | ((rows[row + TAG]! & ~NOT_HOLDERS) - HOLDER);
      heir = peer;
    }
    const bucket = this.#bucketOf(rows[row]!);
    let previous = this.#buckets[bucket]!;
    if (previous === row) {
      this.#buckets[bucket] = heir;
      return;
    }
    while (rows[previous + LINK] !== row) previous = rows[previous + LINK]!;
    rows[previous + LINK] = heir;
  }
}

/**
 * A binary heap whose members know their place, so that any of them can leave in O(log n): a request that is canceled is gone
 * at once, and nothing dead is ever in a queue.
 *
 *   items   c   a   b            keys stand beside the items, two numbers each: finding a place reads no member,
 *   keys   1 7 3 2 3 5           which at 100,000 members is the cost of a heap
 * @module
 */

/** Where members keep their place; -1 = in no heap. */
export interface HeapPlaces<T> {
  indexOf(item: T): number;
  setIndex(item: T, index: number): void;
}

export class IndexedHeap<T> {
  readonly #places: HeapPlaces<T>;
  readonly #items: T[] = [];
  /** Of item i at 2i and 2i + 1; the second decides between equal first ones. */
  readonly #keys: number[] = [];

  constructor(places: HeapPlaces<T>) {
    this.#places = places;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The member that goes first, or null. */
  get first(): T | null {
    return this.#items.length > 0 ? this.#items[0]! : null;
  }

  /** Members in no particular order; not to be kept over a change. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** @param key smallest goes first, no NaN; `tie` decides between equal ones, and is unique among them */
  add(item: T, key: number, tie: number): void {
    const index = this.#items.length;
    this.#items.push(item);
    this.#keys.push(key, tie);
    this.#up(item, key, tie, index);
  }

  /** @returns false when it is not in here */
  remove(item: T): boolean {
    const index = this.#places.indexOf(item);
    if (index < 0 || this.#items[index] !== item) return false;
    this.#places.setIndex(item, -1);
    const tie = this.#keys.pop()!;
    const key = this.#keys.pop()!;
    const last = this.#items.pop()!;
    if (last !== item) this.#settle(last, key, tie, index);
    return true;
  }

  /** Gives a member another key. */
  update(item: T, key: number, tie: number): void {
    this.#settle(item, key, tie, this.#places.indexOf(item));
  }

  /** Empties it; the members are told. */
  clear(): void {
    for (const item of this.#items) this.#places.setIndex(item, -1);
    this.#items.length = 0;
    this.#keys.length = 0;
  }

  #settle(item: T, key: number, tie: number, index: number): void {
    if (!this.#up(item, key, tie, index)) this.#down(item, key, tie, index);
  }

  #put(item: T, key: number, tie: number, index: number): void {
    this.#items[index] = item;
    this.#keys[2 * index] = key;
    this.#keys[2 * index + 1] = tie;
    this.#places.setIndex(item, index);
  }

  /** @returns whether it moved */
  #up(item: T, key: number, tie: number, from: number): boolean {
    const keys = this.#keys;
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const otherKey = keys[2 * parent]!;
      const otherTie = keys[2 * parent + 1]!;
      if (otherKey < key || (otherKey === key && otherTie <= tie)) break;
      this.#put(this.#items[parent]!, otherKey, otherTie, index);
      index = parent;
    }
    this.#put(item, key, tie, index);
    return index !== from;
  }

  #down(item: T, key: number, tie: number, from: number): void {
    const keys = this.#keys;
    const { length } = this.#items;
    let index = from;
    for (let child = 2 * index + 1; child < length; child = 2 * index + 1) {
      let otherKey = keys[2 * child]!;
      let otherTie = keys[2 * child + 1]!;
      if (child + 1 < length) {
        const rightKey = keys[2 * child + 2]!;
        const rightTie = keys[2 * child + 3]!;
        if (rightKey < otherKey || (rightKey === otherKey && rightTie < otherTie)) {
          child++;
          otherKey = rightKey;
          otherTie = rightTie;
        }
      }
      if (key < otherKey || (key === otherKey && tie <= otherTie)) break;
      this.#put(this.#items[child]!, otherKey, otherTie, index);
      index = child;
    }
    this.#put(item, key, tie, index);
  }
}

/**
 * A binary heap whose members know their place, so that any of them can leave in O(log n): a request that is canceled is gone
 * at once, and nothing dead is ever in a queue.
 * @module
 */

/** How a heap orders its members and where each keeps its place. */
export interface HeapOrder<T> {
  /** True when `a` goes before `b`; a strict total order. */
  before(a: T, b: T): boolean;
  /** Place of a member, -1 = in no heap. */
  indexOf(item: T): number;
  setIndex(item: T, index: number): void;
}

export class IndexedHeap<T> {
  readonly #order: HeapOrder<T>;
  readonly #items: T[] = [];

  constructor(order: HeapOrder<T>) {
    this.#order = order;
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

  add(item: T): void {
    const index = this.#items.length;
    this.#items.push(item);
    this.#up(item, index);
  }

  /** @returns false when it is not in here */
  remove(item: T): boolean {
    const index = this.#order.indexOf(item);
    if (index < 0 || this.#items[index] !== item) return false;
    this.#order.setIndex(item, -1);
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[index] = last;
      this.#settle(last, index);
    }
    return true;
  }

  /** Brings a member to its place after what orders it has changed. */
  moved(item: T): void {
    this.#settle(item, this.#order.indexOf(item));
  }

  /** Empties it; the members are told. */
  clear(): void {
    for (const item of this.#items) this.#order.setIndex(item, -1);
    this.#items.length = 0;
  }

  /** Orders anew, O(n), after what orders many members has changed. */
  rebuild(): void {
    const items = this.#items;
    for (let i = 0; i < items.length; i++) this.#order.setIndex(items[i]!, i);
    for (let i = (items.length >> 1) - 1; i >= 0; i--) this.#down(items[i]!, i);
  }

  #settle(item: T, index: number): void {
    if (!this.#up(item, index)) this.#down(item, index);
  }

  /** @returns whether it moved */
  #up(item: T, from: number): boolean {
    const items = this.#items;
    const order = this.#order;
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const other = items[parent]!;
      if (!order.before(item, other)) break;
      items[index] = other;
      order.setIndex(other, index);
      index = parent;
    }
    items[index] = item;
    order.setIndex(item, index);
    return index !== from;
  }

  #down(item: T, from: number): void {
    const items = this.#items;
    const order = this.#order;
    const { length } = items;
    let index = from;
    for (let child = 2 * index + 1; child < length; child = 2 * index + 1) {
      if (child + 1 < length && order.before(items[child + 1]!, items[child]!)) child++;
      const other = items[child]!;
      if (!order.before(other, item)) break;
      items[index] = other;
      order.setIndex(other, index);
      index = child;
    }
    items[index] = item;
    order.setIndex(item, index);
  }
}

/**
 * Streams that we have reset lately. What their peer had sent before it learned of the reset is ignored (RFC 9113 §5.1);
 * without their ids it would look like frames on streams that are long over.
 * @module
 */

export class ResetIds {
  readonly #max: number;
  /** In the order of their coming. */
  readonly #ids = new Set<number>();

  /** @param max how many are remembered, the newest */
  constructor(max: number) {
    this.#max = max;
  }

  has(id: number): boolean {
    return this.#ids.size > 0 && this.#ids.has(id);
  }

  add(id: number): void {
    this.#ids.add(id);
    if (this.#ids.size <= this.#max) return;
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      return;
    }
  }
}

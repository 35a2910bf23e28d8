/**
 * The active flows of a band in a circle, for policies that give turns. A flow that becomes active comes last: everybody who
 * waits has a turn before it.
 *
 *   cursor ─▶ a ─▶ b ─▶ c ─┐
 *             ▲────────────┘     add(d) puts it between c and a
 * @module
 */
import type { FlowView } from "../flow/contracts.ts";

export class FlowRing {
  size = 0;
  /** By position; a free place has undefined. */
  readonly #flows: (FlowView | undefined)[] = [];
  readonly #next: number[] = [];
  readonly #previous: number[] = [];
  readonly #free: number[] = [];
  #cursor = -1;

  /** The flow whose turn it is, or null. */
  get current(): FlowView | null {
    return this.#cursor < 0 ? null : this.#flows[this.#cursor]!;
  }

  has(flow: FlowView): boolean {
    return flow.position >= 0 && this.#flows[flow.position] === flow;
  }

  add(flow: FlowView): void {
    const at = this.#free.pop() ?? this.#flows.length;
    this.#flows[at] = flow;
    flow.position = at;
    this.size++;
    if (this.#cursor < 0) {
      this.#next[at] = at;
      this.#previous[at] = at;
      this.#cursor = at;
      return;
    }
    const last = this.#previous[this.#cursor]!;
    this.#next[last] = at;
    this.#previous[at] = last;
    this.#next[at] = this.#cursor;
    this.#previous[this.#cursor] = at;
  }

  /** Takes a flow out; when it had the turn, the next one has it. */
  remove(flow: FlowView): void {
    const at = flow.position;
    const next = this.#next[at]!;
    const previous = this.#previous[at]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    if (this.#cursor === at) this.#cursor = next === at ? -1 : next;
    this.#flows[at] = undefined;
    this.#free.push(at);
    flow.position = -1;
    this.size--;
  }

  /** Gives the turn to the next flow. */
  advance(): void {
    if (this.#cursor >= 0) this.#cursor = this.#next[this.#cursor]!;
  }
}

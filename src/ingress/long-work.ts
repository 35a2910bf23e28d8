/**
 * Long work of one thread, a step a turn of the event loop, so that short requests get their answers in between. One after
 * the other in the order of their coming: memory is needed for one of them.
 * @module
 */
import type { Steps } from "../request/steps.ts";

/** Who has asked for work. */
export interface LongWorkOwner {
  /** Nobody waits for it any more: what is left of it is not done. */
  readonly isFinished: boolean;
  /** Begins the work; called when its turn has come. */
  beginWork(): Steps<void>;
  /** A step has thrown, and the work is over. */
  onWorkFault(error: unknown): void;
}

export class LongWork {
  /** The first one is at work. Bounded by the budget for bodies: who is here holds a large one. */
  readonly #owners: LongWorkOwner[] = [];
  #steps: Steps<void> | null = null;
  readonly #defer: (turn: () => void) => void;

  /** @param defer runs its argument in a later turn, after what has come in */
  constructor(defer: (turn: () => void) => void = setImmediate) {
    this.#defer = defer;
  }

  add(owner: LongWorkOwner): void {
    this.#owners.push(owner);
    if (this.#owners.length === 1) this.#defer(this.#turn);
  }

  readonly #turn = (): void => {
    const owner = this.#owners[0]!;
    if (owner.isFinished || this.#isDone(owner)) {
      this.#steps = null;
      this.#owners.shift();
      if (this.#owners.length === 0) return;
    }
    this.#defer(this.#turn);
  };

  #isDone(owner: LongWorkOwner): boolean {
    try {
      this.#steps ??= owner.beginWork();
      return this.#steps.next().done === true;
    } catch (error) {
      owner.onWorkFault(error);
      return true;
    }
  }
}

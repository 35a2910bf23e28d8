import { describe, expect, test } from "vitest";
import type { Steps } from "../request/steps.ts";
import { LongWork, type LongWorkOwner } from "./long-work.ts";

/** Runs what is deferred when the test says so. */
class Turns {
  readonly #deferred: (() => void)[] = [];
  readonly defer = (turn: () => void): void => {
    this.#deferred.push(turn);
  };

  /** @returns false when nothing is due */
  next(): boolean {
    const turn = this.#deferred.shift();
    turn?.();
    return turn !== undefined;
  }

  all(): void {
    while (this.next());
  }
}

class Owner implements LongWorkOwner {
  isFinished = false;
  readonly faults: unknown[] = [];
  readonly #name: string;
  readonly #steps: number;
  readonly #log: string[];
  readonly #faultAt: number;

  constructor(name: string, steps: number, log: string[], faultAt = -1) {
    this.#name = name;
    this.#steps = steps;
    this.#log = log;
    this.#faultAt = faultAt;
  }

  *beginWork(): Steps<void> {
    for (let step = 0; step < this.#steps; step++) {
      if (step === this.#faultAt) throw new Error(this.#name);
      this.#log.push(`${this.#name}${step}`);
      yield;
    }
  }

  onWorkFault(error: unknown): void {
    this.faults.push(error);
  }
}

function setup() {
  const turns = new Turns();
  return { turns, work: new LongWork(turns.defer), log: [] as string[] };
}

describe("LongWork", () => {
  test("does a step a turn, one owner after the other", () => {
    const { turns, work, log } = setup();
    work.add(new Owner("a", 2, log));
    work.add(new Owner("b", 2, log));
    expect(log).toEqual([]);
    turns.next();
    expect(log).toEqual(["a0"]);
    turns.next();
    expect(log).toEqual(["a0", "a1"]);
    turns.all();
    expect(log).toEqual(["a0", "a1", "b0", "b1"]);
  });

  test("goes on when more comes after it was done", () => {
    const { turns, work, log } = setup();
    work.add(new Owner("a", 1, log));
    turns.all();
    work.add(new Owner("b", 1, log));
    turns.all();
    expect(log).toEqual(["a0", "b0"]);
  });

  test("leaves what nobody waits for any more, begun or not", () => {
    const { turns, work, log } = setup();
    const [first, second, third] = ["a", "b", "c"].map((name) => new Owner(name, 3, log));
    for (const owner of [first!, second!, third!]) work.add(owner);
    turns.next();
    first!.isFinished = true;
    second!.isFinished = true;
    turns.all();
    expect(log).toEqual(["a0", "c0", "c1", "c2"]);
  });

  test("tells the owner of a fault, and goes on with the next", () => {
    const { turns, work, log } = setup();
    const first = new Owner("a", 3, log, 1);
    const second = new Owner("b", 1, log);
    work.add(first);
    work.add(second);
    turns.all();
    expect(first.faults).toEqual([new Error("a")]);
    expect(log).toEqual(["a0", "b0"]);
    expect(second.faults).toEqual([]);
  });
});

/**
 * Puts the name that the client asked for in the place of the one that its request was given, in an answer that comes in
 * pieces. Everything else goes on as it came; of the answer only the bytes of a name that has not all come are held.
 *
 *   piece   {"id":"c1","model":"srv-01","choices":[…      begins(at of the quote) … ends(behind the other quote)
 *   out     └ slice ─────────┘└"gpt-x"┘└ slice ───
 * @module
 */
import { ByteParts } from "../../proto/index.ts";

/** Longest run of bytes held back; a longer name goes on as it is. */
export const HELD_BYTES_MAX = 64 * 1024;

const BACKSLASH = 0x5c;
const EMPTY: Uint8Array = new Uint8Array(0);

export class ModelRestorer {
  /** Names that were replaced. */
  replaced = 0;
  readonly #served: string;
  /** The name in the answer, and the one in its place, as JSON. */
  readonly #from: Uint8Array;
  readonly #to: Uint8Array;
  #piece: Uint8Array = EMPTY;
  /** Bytes of the piece before this one have been passed on. */
  #done = 0;
  #out: Uint8Array[] = [];
  #isHolding = false;
  readonly #held = new ByteParts();

  /**
   * @param served name that the request was given
   * @param asked  name that the client sent
   */
  constructor(served: string, asked: string) {
    this.#served = served;
    this.#from = Buffer.from(JSON.stringify(served));
    this.#to = Buffer.from(JSON.stringify(asked));
  }

  /** null where there is nothing to restore: a name is missing, or they are the same. */
  static of(served: string, asked: string): ModelRestorer | null {
    return served === asked || served === "" || asked === ""
      ? null
      : new ModelRestorer(served, asked);
  }

  /** The next piece, before it is walked over. @param out gets what goes on */
  open(piece: Uint8Array, out: Uint8Array[]): void {
    this.#piece = piece;
    this.#done = 0;
    this.#out = out;
  }

  /** A name begins with the quote at `at`. */
  begins(at: number): void {
    this.#pass(at);
    this.#isHolding = true;
  }

  /** The name ends before `at`. */
  ends(at: number): void {
    if (!this.#isHolding) return;
    this.#isHolding = false;
    if (this.#held.byteLength > 0) {
      this.#held.add(this.#piece.subarray(0, at));
      const name = this.#held.joined();
      this.#out.push(this.#isServed(name) ? this.#replacement() : name);
      this.#held.clear();
      this.#done = at;
    } else if (this.#isServed(this.#piece.subarray(this.#done, at))) {
      this.#out.push(this.#replacement());
      this.#done = at;
    }
  }

  /** The name will not end: what is held goes on as it came. */
  abandon(): void {
    this.#isHolding = false;
    this.#release();
  }

  /** The piece has been walked over. */
  close(): void {
    const { length } = this.#piece;
    if (!this.#isHolding) {
      this.#pass(length);
    } else if (this.#held.byteLength + length - this.#done > HELD_BYTES_MAX) {
      this.abandon();
      this.#pass(length);
    } else {
      this.#held.add(this.#piece.subarray(this.#done));
    }
    this.#piece = EMPTY;
  }

  /** The answer is over. @param out gets what is held */
  end(out: Uint8Array[]): void {
    this.#out = out;
    this.abandon();
  }

  #pass(at: number): void {
    if (at > this.#done) {
      const isWhole = this.#done === 0 && at === this.#piece.length;
      this.#out.push(isWhole ? this.#piece : this.#piece.subarray(this.#done, at));
    }
    this.#done = at;
  }

  #release(): void {
    if (this.#held.byteLength === 0) return;
    this.#out.push(...this.#held.list);
    this.#held.clear();
  }

  #replacement(): Uint8Array {
    this.replaced++;
    return this.#to;
  }

  /** @param name with its quotes */
  #isServed(name: Uint8Array): boolean {
    if (isSame(name, this.#from)) return true;
    if (name.length <= this.#from.length || !name.includes(BACKSLASH)) return false;
    try {
      return JSON.parse(Buffer.from(name).toString()) === this.#served;
    } catch {
      return false;
    }
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

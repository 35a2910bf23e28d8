/**
 * JSON texts as anybody may spell them: white space, escapes, numbers of any form, names that come twice, deep nesting.
 * @module
 */
import type { Dice } from "../support/wire-arbitraries.ts";

const SPACES = ["", "", "", "", " ", "\n", "\t ", "\r\n"] as const;
const TEXTS = [
  "",
  "a",
  "hello world, this is a prompt of some length",
  "é",
  "😀",
  "\ud800",
  "\udc00x",
  "\u0000",
  '"\\',
  "\u2028",
  "x".repeat(70),
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABA",
] as const;
const NUMBERS = [
  "0",
  "-0",
  "1",
  "7",
  "100",
  "-1",
  "1.0",
  "1.5",
  "1e2",
  "1E+2",
  "10e-1",
  "1e400",
  "-1e400",
  "4294967295",
  "4294967296",
  "2147483648",
  "9007199254740993",
  "123456789012345678901234567890",
  "0.1e-400",
] as const;
const WORDS = ["true", "false", "null"] as const;

/** Spells texts of JSON with the dice. */
export class JsonSpeller {
  readonly #dice: Dice;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.#dice.roll(choices.length)]!;
  }

  space(): string {
    return this.one(SPACES);
  }

  string(text: string): string {
    if (this.#dice.roll(3) > 0) return JSON.stringify(text);
    let out = "";
    for (let i = 0; i < text.length; i++) {
      const hex = text.charCodeAt(i).toString(16).padStart(4, "0");
      out += this.#dice.roll(3) === 0 ? `\\u${hex}` : JSON.stringify(text[i]).slice(1, -1);
    }
    return `"${out}"`;
  }

  text(): string {
    return this.string(this.one(TEXTS));
  }

  number(): string {
    return this.#dice.roll(3) === 0 ? String(this.#dice.roll(100_000)) : this.one(NUMBERS);
  }

  array(elements: readonly string[]): string {
    const items = elements.map((element) => this.space() + element + this.space());
    return `[${items.length === 0 ? this.space() : items.join(",")}]`;
  }

  /** In any order; now and then a name comes twice. */
  object(members: readonly (readonly [name: string, value: string])[]): string {
    const spelled = members.flatMap(([name, value]) => {
      const member = (of: string) =>
        `${this.space()}${this.string(name)}${this.space()}:${this.space()}${of}${this.space()}`;
      return this.#dice.roll(15) === 0 ? [member(this.any()), member(value)] : [member(value)];
    });
    if (this.#dice.roll(3) === 0) spelled.reverse();
    return `{${spelled.length === 0 ? this.space() : spelled.join(",")}}`;
  }

  /** Any value, mostly a small one. */
  any(depth = 0): string {
    const way = this.#dice.roll(depth > 3 ? 6 : 9);
    if (way < 2) return this.text();
    if (way < 4) return this.number();
    if (way < 6) return this.one(WORDS);
    const count = this.#dice.roll(4);
    if (way === 6) return this.array(Array.from({ length: count }, () => this.any(depth + 1)));
    if (way === 7) {
      const names = ["text", "type", "a", "content", "", "__proto__", "role"];
      return this.object(
        Array.from({ length: count }, () => [this.one(names), this.any(depth + 1)] as const),
      );
    }
    return this.#dice.roll(60) === 0 ? this.#nested() : this.any(depth + 1);
  }

  #nested(): string {
    const levels = this.#dice.roll(3) === 0 ? 9_900 + this.#dice.roll(200) : this.#dice.roll(300);
    const isObject = this.#dice.roll(2) === 0;
    return (isObject ? '{"a":' : "[").repeat(levels) + 1 + (isObject ? "}" : "]").repeat(levels);
  }
}

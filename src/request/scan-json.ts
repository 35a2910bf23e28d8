/**
 * One pass over a request body: proves that it is a JSON object and notes where the few members that matter are. Builds
 * no objects and reads no value; what stands inside the ranges is read by those who need it.
 *
 * It accepts what JSON.parse accepts, up to a nesting of `workAreaLimits.depthMax`, and refuses the rest; there is no
 * second parser to fall back to, so that model and prompt are always read from the bytes that go to the model server.
 * @module
 */
import { KeyTable } from "./key-table.ts";
import {
  type BodyBytes,
  Byte,
  bodyLength,
  TOO_DEEP,
  WorkArea,
  workAreaLimits,
} from "./work-area.ts";

/** Top-level members that are noted. */
export const Member = {
  model: 0,
  stream: 1,
  cache_salt: 2,
  max_tokens: 3,
  max_completion_tokens: 4,
  max_output_tokens: 5,
  prompt: 6,
  messages: 7,
  input: 8,
  items: 9,
  instructions: 10,
  tools: 11,
  documents: 12,
  chat_template: 13,
  chat_template_kwargs: 14,
  system: 15,
  token_ids: 16,
  features: 17,
  sampling_params: 18,
  input_ids: 19,
  input_embeds: 20,
  text: 21,
  extra_key: 22,
} as const;

export type Member = (typeof Member)[keyof typeof Member];

const table = new KeyTable(Object.keys(Member));
/** Larger caps mean nothing and would drown sums of tokens. */
const TOKENS_MAX = 2 ** 31 - 1;

/** As `BodyScan.count`, of the value at [start, end); start -1 = missing. */
export function countAt(area: WorkArea, start: number, end: number): number {
  const lead = start < 0 ? 0 : area.bytes[start]!;
  if (lead !== Byte.Minus && (lead < Byte.Zero || lead > Byte.Nine)) return -1;
  const value = Number(area.bytes.toString("latin1", start, end));
  return Number.isInteger(value) && value >= 0 ? Math.min(value, TOKENS_MAX) + 0 : -1; // not -0
}

export class BodyScan {
  readonly area = new WorkArea();
  readonly #ranges = new Int32Array(table.size * 2).fill(-1);
  #isLoaded = false;

  /** Copies in the body that the next scan is for, which can then be a step of its own. */
  load(body: BodyBytes): void {
    this.area.unload();
    this.#isLoaded = this.area.load(body);
  }

  /**
   * Scans a body, which must not change until the facts have been taken.
   *
   * @returns null, or what is wrong with it
   */
  scan(body: BodyBytes): string | null {
    const { area } = this;
    if (!this.#isLoaded) area.unload(); // the buffer may be one that was seen before, with other contents
    this.#isLoaded = false;
    if (!area.load(body)) {
      return `body of ${bodyLength(body)} bytes; at most ${workAreaLimits.bodyBytesMax} can be parsed`;
    }
    return this.#scanLoaded();
  }

  /**
   * Scans the part [start, end) of the loaded body; it takes the place of the body.
   *
   * @returns as `scan`
   */
  scanPart(start: number, end: number): string | null {
    this.area.narrow(start, end);
    return this.#scanLoaded();
  }

  #scanLoaded(): string | null {
    const { area } = this;
    const start = area.skipSpace(area.body);
    if (area.bytes[start] !== Byte.OpenBrace) {
      const end = area.skipValue(start);
      return end < 0 ? this.#problem(end) : "expected a JSON object";
    }
    const end = area.collect(start, table, this.#ranges);
    if (end < 0) return this.#problem(end);
    const rest = area.skipSpace(end);
    return rest === area.bodyEnd ? null : this.#problem(~rest);
  }

  reset(): void {
    this.#ranges.fill(-1);
    this.#isLoaded = false;
    this.area.unload();
  }

  has(member: Member): boolean {
    return this.#ranges[member * 2]! >= 0;
  }

  /** Address of the value's first byte in `area.bytes`, -1 when the member is missing. */
  start(member: Member): number {
    return this.#ranges[member * 2]!;
  }

  /** Address behind the value's last byte. */
  end(member: Member): number {
    return this.#ranges[member * 2 + 1]!;
  }

  /** First byte of the value, 0 when the member is missing; tells the type. */
  lead(member: Member): number {
    const start = this.#ranges[member * 2]!;
    return start < 0 ? 0 : this.area.bytes[start]!;
  }

  /** The value when it is a string, else "". */
  text(member: Member): string {
    if (this.lead(member) !== Byte.Quote) return "";
    return this.area.text(this.start(member), this.end(member));
  }

  /** Bytes of the value when it is a string, else 0. */
  textLength(member: Member): number {
    if (this.lead(member) !== Byte.Quote) return 0;
    return this.area.stringLength(this.start(member) + 1, this.end(member) - 1);
  }

  /** Whether the value is `true`. */
  isTrue(member: Member): boolean {
    return this.lead(member) === Byte.LetterT;
  }

  /** The value when it is a non-negative integer (however written, capped at 2^31 − 1), else -1. */
  count(member: Member): number {
    return countAt(this.area, this.start(member), this.end(member));
  }

  /** Whether the value is an array with at least one element. */
  isFilledArray(member: Member): boolean {
    if (this.lead(member) !== Byte.OpenBracket) return false;
    const { area } = this;
    return area.bytes[area.skipSpace(this.start(member) + 1)] !== Byte.CloseBracket;
  }

  /** Whether the value is a string of at least one character. */
  isFilledString(member: Member): boolean {
    return this.lead(member) === Byte.Quote && this.end(member) - this.start(member) > 2;
  }

  #problem(code: number): string {
    if (code === TOO_DEEP) return "exceeded max depth";
    const { area } = this;
    const at = ~code;
    if (at >= area.bodyEnd) return "unexpected end of JSON input";
    const byte = area.bytes[at]!;
    const isPrintable = byte > 0x20 && byte < 0x7f;
    const shown = isPrintable
      ? `'${String.fromCharCode(byte)}'`
      : `0x${byte.toString(16).padStart(2, "0")}`;
    return `invalid character ${shown} at byte ${at - area.body}`;
  }
}

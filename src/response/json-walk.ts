/**
 * Walks over JSON that comes in pieces, cut anywhere, and picks the members of a tree out of it. It holds a key or a
 * number at most: what is of no interest is passed over, however long it is and however deep.
 *
 *   {"id":"c1","choices":[{…}],"usage":{"prompt_tokens":7}}
 *    ├key────┤ ├skip──────────┤ ├key──┤ ├key──────────┤└ number → usage
 *
 * It checks nothing: of bytes that are no JSON it makes something or nothing, and never fails. Several values may follow
 * one another, with anything between them.
 * @module
 */
import { KEY_BYTES_MAX, type MemberNode, MODEL, memberOf } from "./member-tree.ts";
import type { ModelRestorer } from "./model-restorer.ts";
import type { TokenUsage, Told } from "./token-usage.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;
const ZERO = 0x30;
/** White space is this byte or below. */
const BLANK = 0x20;

const State = {
  /** Outside of any value. */
  Between: 0,
  /** In an object of the tree, before a key or its end. */
  Member: 1,
  Key: 2,
  Colon: 3,
  Value: 4,
  /** In a container that is of no interest. */
  Skip: 5,
  /** In a string of no interest. */
  String: 6,
  /** In a scalar of no interest. */
  Scalar: 7,
  /** In a number of the tree, or a string that stands for one. */
  Number: 8,
  NumberText: 9,
  /** In the model's name. */
  Model: 10,
} as const;

/** Bytes that mean something where strings, containers and their ends are looked for. */
const STRUCTURE = [QUOTE, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] as const;
const IS_STRUCTURE = new Uint8Array(256);
for (const byte of STRUCTURE) IS_STRUCTURE[byte] = 1;

/** Strings and numbers that go on behind so many bytes are searched by a call into native code. */
const SEARCH_FROM_BYTES = 32;

/**
 * Finds the next byte of structure where they are far apart (embeddings): each kind is looked for from where it was
 * found last, so that all of it costs a few passes of native code over the piece.
 */
class StructureSearch {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #places = new Int32Array(STRUCTURE.length).fill(-1);

  /** @param end nothing behind it is looked at */
  constructor(bytes: Uint8Array, end: number) {
    this.#bytes = end === bytes.length ? bytes : bytes.subarray(0, end);
    this.#end = end;
  }

  /** @param at not before the last one. @returns its place, or the end */
  next(at: number): number {
    const places = this.#places;
    let nearest = this.#end;
    for (let i = 0; i < places.length; i++) {
      if (places[i]! < at) {
        const found = this.#bytes.indexOf(STRUCTURE[i]!, at);
        places[i] = found < 0 ? this.#end : found;
      }
      nearest = Math.min(nearest, places[i]!);
    }
    return nearest;
  }
}

export class JsonWalk {
  readonly #root: MemberNode;
  readonly #usage: TokenUsage;
  readonly #model: ModelRestorer | null;
  #state: number = State.Between;
  /** Containers open. */
  #depth = 0;
  /** Objects of the tree among them; they are the outermost ones. */
  #known = 0;
  readonly #nodes: MemberNode[] = [];
  /** What the last key stands for. */
  #member: MemberNode | number | undefined;
  #isEscaped = false;
  /** The key or number being read; its length goes on counting beyond the room. */
  readonly #token = new Uint8Array(KEY_BYTES_MAX);
  #tokenLength = 0;

  /** @param model gets the places of the model's name; null = they are passed over */
  constructor(root: MemberNode, usage: TokenUsage, model: ModelRestorer | null) {
    this.#root = root;
    this.#usage = usage;
    this.#model = model;
  }

  /** No value is open. */
  get isBetween(): boolean {
    return this.#state === State.Between;
  }

  /** A string is open, which a line break in it would make no JSON. */
  get isInString(): boolean {
    switch (this.#state) {
      case State.Key:
      case State.String:
      case State.NumberText:
      case State.Model:
        return true;
      default:
        return false;
    }
  }

  /** Begins anew with the next byte. */
  reset(): void {
    if (this.#state === State.Model) this.#model!.abandon();
    this.#state = State.Between;
    this.#depth = 0;
    this.#known = 0;
    this.#isEscaped = false;
  }

  /** Takes the next bytes, bytes[start, end). */
  walk(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      switch (this.#state) {
        case State.Between:
          at = this.#between(bytes, at, end);
          break;
        case State.Member:
          at = this.#beforeKey(bytes, at, end);
          break;
        case State.Key:
          at = this.#key(bytes, at, end);
          break;
        case State.Colon:
          if (bytes[at++] === COLON) this.#state = State.Value;
          break;
        case State.Value:
          at = this.#beforeValue(bytes, at, end);
          break;
        case State.Skip:
          at = this.#skip(bytes, at, end);
          break;
        case State.String:
          at = this.#endOfString(bytes, at, end);
          if (at <= end) this.#resume();
          break;
        case State.Scalar:
          at = this.#scalar(bytes, at, end);
          break;
        case State.Number:
          at = this.#number(bytes, at, end);
          break;
        case State.NumberText:
          at = this.#numberText(bytes, at, end);
          break;
        default:
          at = this.#endOfString(bytes, at, end);
          if (at > end) break;
          this.#model!.ends(at);
          this.#resume();
          break;
      }
    }
  }

  #between(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      if (IS_STRUCTURE[bytes[at]!] === 0) continue;
      this.#enter(bytes[at]!, this.#root);
      return at + 1;
    }
    return end;
  }

  /** A value begins with this byte of structure. @param node what an object here is in the tree */
  #enter(byte: number, node: MemberNode | null): void {
    if (byte === QUOTE) {
      this.#state = State.String;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.#depth++;
      this.#state = State.Skip;
      if (byte === OPEN_BRACKET || node === null) return;
      this.#nodes[this.#known++] = node;
      this.#state = State.Member;
    }
  }

  #beforeKey(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.#tokenLength = 0;
        this.#state = State.Key;
        return at + 1;
      }
      if (byte === CLOSE_BRACE) {
        this.#leave();
        return at + 1;
      }
    }
    return end;
  }

  /** An object of the tree ends; the one around it is in the tree too. */
  #leave(): void {
    this.#depth--;
    this.#known--;
    this.#resume();
  }

  /** What goes on behind a value. */
  #resume(): void {
    this.#state =
      this.#depth > this.#known ? State.Skip : this.#depth === 0 ? State.Between : State.Member;
  }

  #key(bytes: Uint8Array, start: number, end: number): number {
    const token = this.#token;
    let length = this.#tokenLength;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE && !this.#isEscaped) {
        const node = this.#nodes[this.#known - 1]!;
        this.#member = length > KEY_BYTES_MAX ? undefined : memberOf(node, token, length);
        this.#state = State.Colon;
        return at + 1;
      }
      // A key with an escape in it is none of ours.
      this.#isEscaped = byte === BACKSLASH && !this.#isEscaped;
      if (length < KEY_BYTES_MAX) token[length] = byte;
      length++;
    }
    this.#tokenLength = length;
    return end;
  }

  #beforeValue(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end && bytes[at]! <= BLANK) at++;
    if (at === end) return end;
    const byte = bytes[at]!;
    const member = this.#member;
    if (typeof member === "object") {
      if (IS_STRUCTURE[byte] === 1) this.#enter(byte, member);
      else this.#state = State.Scalar;
    } else if (byte === QUOTE && member !== undefined && (member !== MODEL || this.#model)) {
      if (member === MODEL) this.#model!.begins(at);
      this.#tokenLength = 0;
      this.#state = member === MODEL ? State.Model : State.NumberText;
    } else if (IS_STRUCTURE[byte] === 1) {
      this.#enter(byte, null);
    } else if (member === undefined || member === MODEL) {
      this.#state = State.Scalar;
    } else {
      this.#tokenLength = 0;
      this.#state = State.Number;
      return at; // its first digit is a part of it
    }
    if (this.#state === State.Value) this.#state = State.Member; // something closes: there is no value
    if (byte === CLOSE_BRACE) this.#leave();
    return at + 1;
  }

  #skip(bytes: Uint8Array, start: number, end: number): number {
    let depth = this.#depth;
    const known = this.#known;
    let search: StructureSearch | null = null;
    let at = start;
    while (at < end) {
      const near = Math.min(end, at + SEARCH_FROM_BYTES);
      // Most bytes are below the braces, and the brackets are where braces are but for one bit.
      while (at < near && bytes[at] !== QUOTE && (bytes[at]! | 0x20) < OPEN_BRACE) at++;
      if (at === near && at < end) {
        search ??= new StructureSearch(bytes, end);
        at = search.next(at);
        if (at === end) break;
      }
      const byte = bytes[at++]!;
      if (byte === QUOTE) {
        // Most strings end in the same piece: no change of state for those.
        at = this.#endOfString(bytes, at, end);
        if (at <= end) continue;
        this.#depth = depth;
        this.#state = State.String;
        return end;
      }
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        depth++;
      } else if (IS_STRUCTURE[byte] === 1 && --depth === known) {
        this.#depth = depth;
        this.#resume();
        return at;
      }
    }
    this.#depth = depth;
    return end;
  }

  /** @returns the place behind the closing quote; end + 1 when it has not come */
  #endOfString(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    if (this.#isEscaped && at < end) {
      this.#isEscaped = false;
      at++;
    }
    const near = Math.min(end, at + SEARCH_FROM_BYTES);
    for (; at < near; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) return at + 1;
      if (byte !== BACKSLASH) continue;
      if (++at < end) continue;
      this.#isEscaped = true;
      return end + 1;
    }
    return at < end ? this.#farEndOfString(bytes, at, end) : end + 1;
  }

  /** The same for long strings. @param start where no escape is open */
  #farEndOfString(bytes: Uint8Array, start: number, end: number): number {
    const line = end === bytes.length ? bytes : bytes.subarray(0, end);
    for (let from = start; ; ) {
      const found = line.indexOf(QUOTE, from);
      const quote = found < 0 ? end : found;
      // An odd number of backslashes escapes what comes behind them.
      let slash = quote;
      while (slash > from && bytes[slash - 1] === BACKSLASH) slash--;
      const isEscaped = (quote - slash) % 2 === 1;
      if (quote === end) {
        this.#isEscaped = isEscaped;
        return end + 1;
      }
      if (!isEscaped) return quote + 1;
      from = quote + 1;
    }
  }

  #scalar(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte !== COMMA && byte !== CLOSE_BRACE) continue;
      this.#state = State.Member;
      return byte === COMMA ? at + 1 : at;
    }
    return end;
  }

  #number(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte !== COMMA && byte !== CLOSE_BRACE && byte > BLANK) {
        this.#keep(byte);
        continue;
      }
      this.#tell();
      this.#state = State.Member;
      return at; // what ends a number is not a part of it
    }
    return end;
  }

  #numberText(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE && !this.#isEscaped) {
        this.#tell();
        this.#state = State.Member;
        return at + 1;
      }
      this.#isEscaped = byte === BACKSLASH && !this.#isEscaped;
      this.#keep(byte);
    }
    return end;
  }

  #keep(byte: number): void {
    if (this.#tokenLength < KEY_BYTES_MAX) this.#token[this.#tokenLength] = byte;
    this.#tokenLength++;
  }

  #tell(): void {
    const length = this.#tokenLength;
    if (length === 0 || length > KEY_BYTES_MAX) return;
    let value = 0;
    let at = 0;
    for (; at < length; at++) {
      const digit = this.#token[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === length) {
      this.#usage.set(this.#member as Told, value);
      return;
    }
    const text = String.fromCharCode(...this.#token.subarray(0, length));
    if (NUMBER.test(text)) this.#usage.set(this.#member as Told, Number(text));
  }
}

const NUMBER = /^\d+(\.\d+)?([eE][+-]?\d+)?$/;

/**
 * A stream of server-sent events in pieces, cut anywhere: the data of its events goes to a walk, field names, comments
 * and other fields are passed over. A data line that goes on in another one is one value, an event's end ends it.
 * Source: WHATWG HTML, "Server-sent events"; a carriage return ends a line only together with a line feed.
 *
 *   data: {"choices":[…]}⏎⏎        data:{"usage":⏎data: {…}}⏎⏎        : comment⏎        data: [DONE]⏎⏎
 * @module
 */
import type { JsonWalk } from "./json-walk.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const OPEN_BRACE = 0x7b;
/** White space is this byte or below. */
const BLANK = 0x20;
const FIELD = Buffer.from("data:");

const Line = {
  /** The field's name is being read. */
  Field: 0,
  Data: 1,
  Other: 2,
} as const;

export class EventStream {
  /** Data that is an object, which the end mark `[DONE]` is not: about one a token. */
  events = 0;
  readonly #walk: JsonWalk;
  /** Without these bytes nothing in an event is of interest; null = something may be. */
  readonly #needle: Uint8Array | null;
  #line: number = Line.Field;
  /** Bytes of FIELD seen in this line. */
  #matched = 0;
  /** Nothing but white space of the data line has come. */
  #isFresh = false;

  constructor(walk: JsonWalk, needle: Uint8Array | null = null) {
    this.#walk = walk;
    this.#needle = needle;
  }

  /** Takes a piece of the stream, bytes[start, end). */
  read(bytes: Uint8Array, start: number, end: number): void {
    const isPlain = this.#needle !== null && end - start === bytes.length;
    if (isPlain && this.#pass(bytes, this.#needle!)) return;
    this.#read(bytes, start, end);
  }

  /**
   * Passes over a piece that is whole events of one line each, with nothing of interest in them: the most frequent kind.
   *
   * @returns false when it is not, and nothing has changed
   */
  #pass(bytes: Uint8Array, needle: Uint8Array): boolean {
    if (this.#line !== Line.Field || this.#matched > 0 || !this.#walk.isBetween) return false;
    let events = 0;
    for (let at = 0; at < bytes.length; ) {
      for (let i = 0; i < FIELD.length; i++) if (bytes[at + i] !== FIELD[i]) return false;
      const lineEnd = bytes.indexOf(LINE_FEED, at);
      if (lineEnd < 0 || bytes[lineEnd + 1] !== LINE_FEED) return false;
      at += FIELD.length;
      while (at < lineEnd && bytes[at]! <= BLANK) at++;
      if (bytes[at] === OPEN_BRACE) events++;
      at = lineEnd + 2;
    }
    if (Buffer.prototype.includes.call(bytes, needle)) return false;
    this.events += events;
    return true;
  }

  #read(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#line === Line.Field) {
        at = this.#field(bytes, at, end);
        continue;
      }
      const isData = this.#line === Line.Data;
      const lineEnd = endOfLine(bytes, at, end);
      if (isData) this.#data(bytes, at, lineEnd);
      at = lineEnd;
      if (at === end) return;
      // No string of JSON holds a line break: what comes next is another value.
      if (isData && this.#walk.isInString) this.#walk.reset();
      this.#line = Line.Field;
      this.#matched = 0;
      at++;
    }
  }

  #field(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === FIELD[this.#matched]) {
        if (++this.#matched < FIELD.length) continue;
        this.#line = Line.Data;
        this.#isFresh = true;
        return at + 1;
      }
      if (byte === LINE_FEED) {
        if (this.#matched === 0) this.#walk.reset(); // an empty line ends the event
        this.#matched = 0;
      } else if (byte !== CARRIAGE_RETURN || this.#matched > 0) {
        this.#line = Line.Other;
        return at + 1;
      }
    }
    return end;
  }

  #data(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    if (this.#isFresh) {
      while (at < end && bytes[at]! <= BLANK) at++;
      if (at === end) return;
      this.#isFresh = false;
      if (bytes[at] === OPEN_BRACE && this.#walk.isBetween) this.events++;
    }
    this.#walk.walk(bytes, at, end);
  }
}

function endOfLine(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== LINE_FEED) at++;
  return at;
}

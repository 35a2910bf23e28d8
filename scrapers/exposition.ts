/**
 * Reads single sample lines of the Prometheus text format (0.0.4, and what OpenMetrics adds) from bytes, without
 * making strings. It knows nothing of families or engines and never reads past the line it is given.
 * @module
 */

/** Labels kept per line; an info line of an engine has about 30. */
export const LABELS_PER_LINE_MAX = 128;

const TAB = 9;
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const QUOTE = 34;
const HASH = 35;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const ZERO = 48;
const NINE = 57;
const EQUALS = 61;
const BACKSLASH = 92;
const LETTER_N = 110;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

/** Powers of ten that a double holds exactly. */
const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));
const EXACT_POWER_MAX = 22;
/** Greatest mantissa to which another digit can be added and stay an exact integer (2^53 / 10). */
const MANTISSA_MAX = (Number.MAX_SAFE_INTEGER - 9) / 10;
/** Exponents beyond are the same as this one: 0 or Infinity. */
const EXPONENT_MAX = 9999;

/** A longer number is not one that an exporter prints (the longest exact float64 has 1,077 characters). */
const NUMBER_BYTES_MAX = 2048;

/** Space or tab. */
export function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/**
 * Reads a decimal float as Go and Prometheus write them: sign, digits, point, exponent, `Inf`, `Infinity`, `NaN` in
 * any case. Correctly rounded: short numbers by one exact multiplication or division, others by the platform.
 *
 * @returns the value, maybe infinite; NaN for `NaN` and for anything that is not a number
 */
export function readNumber(page: Uint8Array, start: number, end: number): number {
  if (end - start > NUMBER_BYTES_MAX) return Number.NaN;
  let at = start;
  const first = at < end ? page[at]! : 0;
  const negative = first === MINUS;
  if (negative || first === PLUS) at++;
  let mantissa = 0;
  let digits = 0;
  let scale = 0;
  let exact = true;
  let pointSeen = false;
  for (; at < end; at++) {
    const byte = page[at]!;
    if (byte >= ZERO && byte <= NINE) {
      digits++;
      if (mantissa > MANTISSA_MAX) exact = false;
      else {
        mantissa = mantissa * 10 + (byte - ZERO);
        if (pointSeen) scale--;
      }
    } else if (byte === DOT && !pointSeen) pointSeen = true;
    else break;
  }
  if (digits === 0) return readWord(page, at, end, negative);
  if (at < end) {
    if ((page[at]! | 32) !== 101) return Number.NaN; // e, E
    at++;
    let exponent = 0;
    const sign = at < end ? page[at]! : 0;
    if (sign === MINUS || sign === PLUS) at++;
    if (at === end) return Number.NaN;
    for (; at < end; at++) {
      const byte = page[at]!;
      if (byte < ZERO || byte > NINE) return Number.NaN;
      if (exponent < EXPONENT_MAX) exponent = exponent * 10 + (byte - ZERO);
    }
    scale += sign === MINUS ? -exponent : exponent;
  }
  if (!exact || scale > EXACT_POWER_MAX || scale < -EXACT_POWER_MAX) {
    return Number(latin1(page, start, end));
  }
  const value = scale < 0 ? mantissa / POWERS_OF_TEN[-scale]! : mantissa * POWERS_OF_TEN[scale]!;
  return negative ? -value : value;
}

function readWord(page: Uint8Array, start: number, end: number, negative: boolean): number {
  const length = end - start;
  if (length !== 3 && length !== 8) return Number.NaN;
  const word = latin1(page, start, end).toLowerCase();
  if (word !== "inf" && word !== "infinity") return Number.NaN;
  return negative ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function latin1(page: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...page.subarray(start, end));
}

/** One parsed line; the object is reused, its offsets point into the page that was parsed. */
export class SampleLine {
  labelCount = 0;
  readonly nameStarts = new Int32Array(LABELS_PER_LINE_MAX);
  readonly nameEnds = new Int32Array(LABELS_PER_LINE_MAX);
  /** Raw value between the quotes; escapes are still in it. */
  readonly valueStarts = new Int32Array(LABELS_PER_LINE_MAX);
  readonly valueEnds = new Int32Array(LABELS_PER_LINE_MAX);
  /** 1 = the raw value has escapes. */
  readonly escaped = new Uint8Array(LABELS_PER_LINE_MAX);
  /** NaN also for what is not a number. */
  value = Number.NaN;
  /** As written: integer ms in 0.0.4, float seconds in OpenMetrics. NaN = none. */
  timestamp = Number.NaN;

  /**
   * Parses what follows the metric name: `[blanks] [{labels}] [blanks] value [timestamp] [# exemplar]`.
   *
   * @param start offset behind the name
   * @param end end of the line, its newline not included
   * @returns whether the line is well formed; if not, the fields mean nothing
   */
  parse(page: Uint8Array, start: number, end: number): boolean {
    let stop = end;
    if (stop > start && page[stop - 1] === CARRIAGE_RETURN) stop--;
    this.labelCount = 0;
    this.timestamp = Number.NaN;
    let at = skipBlanks(page, start, stop);
    if (at < stop && page[at] === OPEN_BRACE) {
      at = this.#parseLabels(page, at + 1, stop);
      if (at < 0) return false;
      at = skipBlanks(page, at, stop);
    }
    const valueEnd = tokenEnd(page, at, stop);
    if (valueEnd === at) return false;
    this.value = readNumber(page, at, valueEnd);
    at = skipBlanks(page, valueEnd, stop);
    if (at === stop || page[at] === HASH) return true;
    const timestampEnd = tokenEnd(page, at, stop);
    this.timestamp = readNumber(page, at, timestampEnd);
    if (!Number.isFinite(this.timestamp)) return false;
    at = skipBlanks(page, timestampEnd, stop);
    return at === stop || page[at] === HASH;
  }

  /** Index of the label with this name (ASCII bytes), or -1. */
  indexOf(page: Uint8Array, name: Uint8Array): number {
    for (let i = 0; i < this.labelCount; i++) {
      if (bytesEqual(page, this.nameStarts[i]!, this.nameEnds[i]!, name)) return i;
    }
    return -1;
  }

  /** @returns offset behind the closing brace, or -1 */
  #parseLabels(page: Uint8Array, start: number, end: number): number {
    let at = skipBlanks(page, start, end);
    while (at < end) {
      if (page[at] === CLOSE_BRACE) return at + 1;
      const nameStart = at;
      while (at < end && page[at] !== EQUALS && !isBlank(page[at]!)) {
        const byte = page[at]!;
        if (byte === QUOTE || byte === COMMA || byte === CLOSE_BRACE) return -1;
        at++;
      }
      const nameEnd = at;
      at = skipBlanks(page, at, end);
      if (nameEnd === nameStart || at >= end || page[at] !== EQUALS) return -1;
      at = skipBlanks(page, at + 1, end);
      if (at >= end || page[at] !== QUOTE) return -1;
      const valueStart = ++at;
      let escaped = 0;
      while (at < end && page[at] !== QUOTE) {
        if (page[at] === BACKSLASH) {
          escaped = 1;
          at++;
          const byte = at < end ? page[at]! : 0;
          if (byte !== BACKSLASH && byte !== QUOTE && byte !== LETTER_N) return -1;
        }
        at++;
      }
      if (at >= end || this.labelCount === LABELS_PER_LINE_MAX) return -1;
      const index = this.labelCount++;
      this.nameStarts[index] = nameStart;
      this.nameEnds[index] = nameEnd;
      this.valueStarts[index] = valueStart;
      this.valueEnds[index] = at;
      this.escaped[index] = escaped;
      at = skipBlanks(page, at + 1, end);
      if (at < end && page[at] === COMMA) at = skipBlanks(page, at + 1, end);
      else if (at >= end || page[at] !== CLOSE_BRACE) return -1;
    }
    return -1;
  }
}

/**
 * Value of a line `…} <number>` read from its end: no labels are looked at. Only for a line without `#`.
 *
 * @returns NaN when the line has another form (timestamp, no labels), or the value is none
 */
export function readTrailingValue(page: Uint8Array, start: number, end: number): number {
  let stop = end;
  while (stop > start && (isBlank(page[stop - 1]!) || page[stop - 1] === CARRIAGE_RETURN)) stop--;
  let at = stop;
  while (at > start && page[at - 1] !== CLOSE_BRACE && !isBlank(page[at - 1]!)) at--;
  const value = readNumber(page, at, stop);
  while (at > start && isBlank(page[at - 1]!)) at--;
  return at > start && page[at - 1] === CLOSE_BRACE ? value : Number.NaN;
}

/**
 * Copies a raw label value without its escapes.
 *
 * @param out at least `end - start` long
 * @returns bytes written
 */
export function unescapeLabel(
  page: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
): number {
  let length = 0;
  for (let at = start; at < end; at++) {
    let byte = page[at]!;
    if (byte === BACKSLASH && at + 1 < end) {
      byte = page[++at]!;
      if (byte === LETTER_N) byte = NEWLINE;
    }
    out[length++] = byte;
  }
  return length;
}

/**
 * Reads a label value as an integer, blanks around it allowed.
 *
 * @returns the integer (>= 0), -1 for an empty value, NaN for anything else
 */
export function readLabelInteger(page: Uint8Array, start: number, end: number): number {
  let from = start;
  let to = end;
  while (from < to && isBlank(page[from]!)) from++;
  while (to > from && isBlank(page[to - 1]!)) to--;
  if (from === to) return -1;
  let value = 0;
  for (let at = from; at < to; at++) {
    const byte = page[at]!;
    if (byte < ZERO || byte > NINE) return Number.NaN;
    value = value * 10 + (byte - ZERO);
  }
  return value;
}

export function bytesEqual(
  page: Uint8Array,
  start: number,
  end: number,
  expected: Uint8Array,
): boolean {
  if (end - start !== expected.length) return false;
  for (let i = 0; i < expected.length; i++) if (page[start + i] !== expected[i]) return false;
  return true;
}

function skipBlanks(page: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(page[at]!)) at++;
  return at;
}

function tokenEnd(page: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && !isBlank(page[at]!)) at++;
  return at;
}

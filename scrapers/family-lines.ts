/**
 * Finds the sample lines of one family in a raw page, first at the place where the page before had them.
 *
 *   page    … # TYPE f gauge ⏎ f{…} 1 ⏎ f{…} 2 ⏎ # HELP g …
 *                               ▲ hint: start of the first line; pages keep their shape, so the search
 *                                 begins a little before it and usually ends there
 *
 * A hint is only a place to begin: what it finds is checked byte by byte and must be the start of a group. The format
 * wants all lines of a family in one group; whether that holds (and whether an absent family has come) is looked up
 * in the whole page every `fullSearchPages` pages. A family in several groups is searched in the whole page always.
 * @module
 */
import { isBlank } from "./exposition.ts";
import type { Family } from "./scan-plan.ts";

/** Where to begin before a hint: a page moves by a few bytes as its numbers get longer. */
const HINT_WINDOW_BYTES = 512;

/** Pages between two searches of whole pages: 0.8 s at the shortest interval, 4 us a page in the mean. */
export const FULL_SEARCH_PAGES = 16;

/** Lines read of one family; a vLLM that has served many adapter combinations has some hundred. */
export const LINES_PER_FAMILY_MAX = 10_000;

/** Longer lines are passed over; the longest real ones (info families) have about 1 kB. */
export const LINE_BYTES_MAX = 64 * 1024;

/** Bytes of lines read of one page; the rest is only searched. It bounds what a hostile page costs to some 5 ms. */
export const LINE_BYTES_PER_PAGE_MAX = 512 * 1024;

const NEWLINE = 10;
const OPEN_BRACE = 123;

const UNKNOWN = -1;
const ABSENT = -2;

/** What is remembered of the last page of one endpoint; belongs to one plan. */
export class ScanHints {
  /** Start of the first line by family index, or UNKNOWN, or ABSENT. */
  readonly offsets: Int32Array;
  /** 1 = the family was found in several groups. */
  readonly scattered: Uint8Array;
  pagesToFullSearch = 0;

  constructor(familyCount: number) {
    this.offsets = new Int32Array(familyCount).fill(UNKNOWN);
    this.scattered = new Uint8Array(familyCount);
  }
}

/** A walk over the lines of a family; one object for all walks of a scanner. */
export class FamilyLines {
  /** Current line: [start, end), newline not included. `start` is where the family's name begins. */
  start = 0;
  end = 0;
  readonly #fullSearchPages: number;
  #page: Buffer = Buffer.alloc(0);
  #hints: ScanHints = new ScanHints(0);
  #family!: Family;
  #wholePage = false;
  #searchOn = false;
  #linesLeft = 0;
  #bytesLeft = 0;

  constructor(fullSearchPages: number = FULL_SEARCH_PAGES) {
    this.#fullSearchPages = fullSearchPages;
  }

  /** Begins a page. */
  open(page: Buffer, hints: ScanHints): void {
    this.#page = page;
    this.#hints = hints;
    this.#bytesLeft = LINE_BYTES_PER_PAGE_MAX;
    this.#wholePage = hints.pagesToFullSearch <= 0;
    hints.pagesToFullSearch =
      (this.#wholePage ? this.#fullSearchPages : hints.pagesToFullSearch) - 1;
  }

  /** Goes to the first line of a family. @returns whether there is one */
  first(family: Family): boolean {
    this.#family = family;
    this.#linesLeft = LINES_PER_FAMILY_MAX;
    this.#searchOn = false;
    let start = this.#wholePage ? UNKNOWN : this.#byHint(family.index);
    if (start === UNKNOWN) {
      this.#searchOn = true;
      this.#hints.scattered[family.index] = 0;
      start = this.#find(0);
      this.#hints.offsets[family.index] = start < 0 ? ABSENT : start;
    }
    return start >= 0 && this.#enter(start);
  }

  /** Goes to the next line of the same family. @returns whether there is one */
  next(): boolean {
    const start = this.end + 1;
    if (this.#isLine(start)) return this.#enter(start);
    if (!this.#searchOn) return false;
    const found = this.#find(start);
    if (found < 0) return false;
    this.#hints.scattered[this.#family.index] = 1;
    return this.#enter(found);
  }

  /** @returns start of the first line, UNKNOWN = search the page, ABSENT */
  #byHint(index: number): number {
    const hint = this.#hints.offsets[index]!;
    if (hint < 0) return hint;
    if (this.#hints.scattered[index] === 1) return UNKNOWN;
    const from = Math.max(0, hint - HINT_WINDOW_BYTES);
    const start = this.#find(from);
    if (start < 0) return UNKNOWN;
    // A whole line between `from` and the find is of another family, so the find begins its group; without one the
    // group may have begun before `from`.
    if (from > 0 && this.#page.indexOf(NEWLINE, from) >= start - 1) return UNKNOWN;
    this.#hints.offsets[index] = start;
    return start;
  }

  /** @returns start of the first line of the family that begins at `from` or later, or -1 */
  #find(from: number): number {
    if (from === 0 && this.#isLine(0)) return 0;
    const { needle } = this.#family;
    let at = Math.max(from - 1, 0);
    // Bounded: a page may repeat a longer name that begins with this one.
    for (let hits = 0; hits < LINES_PER_FAMILY_MAX; hits++) {
      const hit = this.#page.indexOf(needle, at);
      if (hit < 0) return -1;
      at = hit + needle.length;
      if (isNameEnd(this.#page[at])) return hit + 1;
    }
    return -1;
  }

  #isLine(start: number): boolean {
    const { name } = this.#family;
    const page = this.#page;
    if (!isNameEnd(page[start + name.length])) return false;
    for (let i = 0; i < name.length; i++) if (page[start + i] !== name[i]) return false;
    return true;
  }

  /** Sets the current line; lines that are too long are passed over. */
  #enter(start: number): boolean {
    if (this.#linesLeft-- === 0) return false;
    const newline = this.#page.indexOf(NEWLINE, start);
    this.start = start;
    this.end = newline < 0 ? this.#page.length : newline;
    if (this.end - start > LINE_BYTES_MAX) return this.next();
    this.#bytesLeft -= this.end - start;
    return this.#bytesLeft >= 0;
  }
}

function isNameEnd(byte: number | undefined): boolean {
  return byte !== undefined && (byte === OPEN_BRACE || isBlank(byte));
}

/**
 * Finds a few fields of a multipart/form-data body (RFC 7578) without copying what else is in it:
 *
 *   --boundary␍␊ content-disposition: form-data; name="model"␍␊ ␍␊ whisper-1␍␊ --boundary␍␊ … --boundary--
 *
 * The boundary is the body's first line, so that the header that repeats it is not needed; of a field that comes twice the
 * last one counts, as servers have it.
 * @module
 */

export const formLimits = {
  /** Bytes of a boundary (RFC 2046). */
  boundaryBytesMax: 70,
  /** Bytes of the headers of one part. */
  partHeaderBytesMax: 8 * 1024,
} as const;

export interface FieldRange {
  readonly start: number;
  readonly end: number;
}

const DASHES = "--";
const LINE_END = "\r\n";
const HEADERS_END = "\r\n\r\n";
const DISPOSITION = /^content-disposition:\s*form-data\s*;(.*)$/im;
/** Neither `filename` nor `name*`; quoted, or a token. */
const NAME = /(?:^|;)\s*name\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i;

export class FormFields {
  readonly #found: Map<string, FieldRange | null>;

  /** @param names of the fields that are looked for */
  constructor(names: readonly string[]) {
    this.#found = new Map(names.map((name) => [name, null]));
  }

  /** @returns false when the body is no form */
  read(body: Buffer): boolean {
    for (const name of this.#found.keys()) this.#found.set(name, null);
    if (body.toString("latin1", 0, 2) !== DASHES) return false;
    const lineEnd = body
      .subarray(0, DASHES.length + formLimits.boundaryBytesMax + LINE_END.length)
      .indexOf(LINE_END);
    if (lineEnd <= DASHES.length) return false;
    const delimiter = Buffer.concat([Buffer.from(LINE_END), body.subarray(0, lineEnd)]);
    let partStart = lineEnd + LINE_END.length;
    for (;;) {
      const partEnd = body.indexOf(delimiter, partStart - LINE_END.length);
      if (partEnd < 0) return true; // cut: what came before counts
      if (partEnd >= partStart) this.#readPart(body, partStart, partEnd);
      const next = partEnd + delimiter.length;
      if (body.toString("latin1", next, next + 2) !== LINE_END) return true; // `--`, or what is no form any more
      partStart = next + LINE_END.length;
    }
  }

  /** The field's value as a range of the body; null = it is not there. */
  get(name: string): FieldRange | null {
    return this.#found.get(name) ?? null;
  }

  /** The field's value as text, "" = it is not there. */
  text(body: Buffer, name: string): string {
    const range = this.get(name);
    return range === null ? "" : body.toString("utf8", range.start, range.end);
  }

  #readPart(body: Buffer, start: number, end: number): void {
    const headEnd = Math.min(end, start + formLimits.partHeaderBytesMax);
    const head = body.subarray(start, headEnd);
    const length = head.indexOf(HEADERS_END);
    if (length < 0) return;
    const disposition = DISPOSITION.exec(head.toString("latin1", 0, length))?.[1];
    if (disposition === undefined) return;
    const match = NAME.exec(disposition);
    const name = match?.[1] ?? match?.[2];
    if (name === undefined || !this.#found.has(name)) return;
    this.#found.set(name, { start: start + length + HEADERS_END.length, end });
  }
}

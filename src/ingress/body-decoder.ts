/**
 * Content encodings of request bodies: what is read is the body decoded, what goes on is the body as it came.
 *
 *   small (as a rule)   decoded at once
 *   others              one after the other, in the thread pool: memory is needed for one of them
 *
 * The decoded size is bounded before it is known: a body that would be larger is given up in the middle.
 * @module
 */
import {
  type BrotliOptions,
  brotliDecompress,
  brotliDecompressSync,
  gunzip,
  gunzipSync,
  inflate,
  inflateRaw,
  inflateRawSync,
  inflateSync,
  type ZlibOptions,
} from "node:zlib";
import type { ErrorCode } from "../errors.ts";

/** The decoded body, or why there is none. */
export type Decoded = Uint8Array | { readonly code: ErrorCode; readonly detail: string };

/** Who waits for a large body. */
export interface BodyDecoderOwner {
  /** Nobody waits for it any more. */
  readonly isFinished: boolean;
  onDecoded(decoded: Decoded): void;
}

export const bodyDecoderLimits = {
  /** Body that is decoded at once, bytes as it came, and decoded: less than half a millisecond. */
  smallBytesMax: 64 * 1024,
  smallDecodedBytesMax: 256 * 1024,
} as const;

/** Output of one step of the thread pool, bytes. */
const STEP_BYTES = 256 * 1024;

type Options = ZlibOptions & BrotliOptions & { maxOutputLength: number };

interface Coding {
  decodeSync(body: Uint8Array, options: Options): Uint8Array;
  decode(
    body: Uint8Array,
    options: Options,
    done: (error: Error | null, decoded: Uint8Array) => void,
  ): void;
}

const CODINGS: ReadonlyMap<string, Coding> = new Map<string, Coding>([
  ["gzip", { decodeSync: gunzipSync, decode: gunzip }],
  [
    "deflate",
    {
      decodeSync: (body, options) =>
        isZlib(body) ? inflateSync(body, options) : inflateRawSync(body, options),
      decode: (body, options, done) =>
        isZlib(body) ? inflate(body, options, done) : inflateRaw(body, options, done),
    },
  ],
  ["br", { decodeSync: brotliDecompressSync, decode: brotliDecompress }],
]);

interface Job {
  readonly encoding: string;
  readonly coding: Coding;
  readonly pieces: readonly Uint8Array[];
  readonly bytesMax: number;
  readonly owner: BodyDecoderOwner;
}

export class BodyDecoder {
  /** The first one is at work. Bounded by the exchanges that are open: each has one body. */
  readonly #jobs: Job[] = [];

  /**
   * @param encoding as in content-encoding, lower case, not empty
   * @param pieces   the body, which stays as it is until the owner is told
   * @param bytesMax decoded
   * @returns        null when the owner is told later
   */
  decode(
    encoding: string,
    pieces: readonly Uint8Array[],
    bytesMax: number,
    owner: BodyDecoderOwner,
  ): Decoded | null {
    const coding = CODINGS.get(encoding);
    if (coding === undefined) {
      return { code: "EPP_REQUEST_ENCODING_UNSUPPORTED", detail: JSON.stringify(encoding) };
    }
    const job = { encoding, coding, pieces, bytesMax, owner };
    const small = decodeSmall(job);
    if (small !== null) return small;
    this.#jobs.push(job);
    if (this.#jobs.length === 1) this.#work();
    return null;
  }

  #work(): void {
    const jobs = this.#jobs;
    while (jobs[0]?.owner.isFinished) jobs.shift();
    const [job] = jobs;
    if (job === undefined) return;
    const options = { maxOutputLength: job.bytesMax, chunkSize: STEP_BYTES };
    job.coding.decode(Buffer.concat(job.pieces), options, (error, decoded) => {
      jobs.shift();
      this.#work();
      if (!job.owner.isFinished) {
        job.owner.onDecoded(error === null ? decoded : refusalOf(error, job));
      }
    });
  }
}

/** @returns null when it is not small */
function decodeSmall(job: Job): Decoded | null {
  const { bytesMax, coding, pieces } = job;
  const { smallBytesMax, smallDecodedBytesMax } = bodyDecoderLimits;
  const byteLength = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (byteLength > smallBytesMax) return null;
  const maxOutputLength = Math.min(bytesMax, smallDecodedBytesMax);
  try {
    return coding.decodeSync(Buffer.concat(pieces), { maxOutputLength });
  } catch (error) {
    const isLarger = isTooLarge(error) && maxOutputLength < bytesMax;
    return isLarger ? null : refusalOf(error, job);
  }
}

function refusalOf(error: unknown, { bytesMax, encoding }: Job): Decoded {
  if (isTooLarge(error)) {
    return { code: "EPP_REQUEST_BODY_TOO_LARGE", detail: `${bytesMax} bytes, decoded` };
  }
  return { code: "EPP_REQUEST_BODY_INVALID", detail: `body is not valid ${encoding}` };
}

function isTooLarge(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
}

/** By the standard `deflate` has a zlib header (RFC 1950), and not all clients know it. */
function isZlib(body: Uint8Array): boolean {
  if (body.length < 2) return true;
  const [first, second] = [body[0]!, body[1]!];
  return (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0;
}

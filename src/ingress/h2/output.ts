/**
 * What a connection sends in one turn of the event loop, gathered so that it leaves in one system call: small pieces are
 * copied side by side into one buffer, large ones are kept as they are.
 *
 *   pieces   [scratch 0..a] [slice of a body] [scratch a..b] …
 *
 * The scratch is filled from its start again only when the socket holds nothing any more. While the socket still reads
 * from it, new pieces go behind the old ones, so that a peer that does not read costs its bytes and not a buffer for each.
 * @module
 */
import type { Socket } from "node:net";

/** Size of the buffer that small pieces share. */
const SCRATCH_BYTES = 64 * 1024;
/** Pieces from this size on are not copied. */
export const COPY_BYTES_MAX = 4096;

export class Output {
  readonly #socket: Socket;
  #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** End of what is in the scratch. */
  #filled = 0;
  /** Start of what is in the scratch and not yet among the pieces. */
  #pieceStart = 0;
  #pieces: Uint8Array[] = [];
  #byteLength = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that the kernel has not taken: gathered here, and waiting in the socket. */
  get backlogBytes(): number {
    return this.#byteLength + this.#socket.writableLength;
  }

  /**
   * Makes room for bytes that the caller writes at once.
   *
   * @param byteLength 1 to COPY_BYTES_MAX
   * @returns where in `buffer` the room begins
   */
  reserve(byteLength: number): number {
    if (this.#filled + byteLength > SCRATCH_BYTES) this.#nextScratch();
    const at = this.#filled;
    this.#filled += byteLength;
    this.#byteLength += byteLength;
    return at;
  }

  /** Where the last `reserve` gave room. */
  get buffer(): Buffer {
    return this.#scratch;
  }

  /** Sends bytes; from COPY_BYTES_MAX on they are taken over, shorter ones are copied. */
  push(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length < COPY_BYTES_MAX) {
      const at = this.reserve(length);
      this.#scratch.set(bytes, at);
    } else {
      this.#closePiece();
      this.#pieces.push(bytes);
      this.#byteLength += length;
    }
  }

  /** Hands everything to the socket. */
  flush(): void {
    if (this.#byteLength === 0) return;
    this.#closePiece();
    const pieces = this.#pieces;
    const socket = this.#socket;
    if (pieces.length === 1) {
      socket.write(pieces[0]!);
    } else {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    this.#pieces = [];
    this.#byteLength = 0;
    if (socket.writableLength === 0) {
      this.#filled = 0;
      this.#pieceStart = 0;
    }
  }

  #closePiece(): void {
    if (this.#filled > this.#pieceStart) {
      this.#pieces.push(this.#scratch.subarray(this.#pieceStart, this.#filled));
      this.#pieceStart = this.#filled;
    }
  }

  #nextScratch(): void {
    this.#closePiece();
    this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    this.#filled = 0;
    this.#pieceStart = 0;
  }
}

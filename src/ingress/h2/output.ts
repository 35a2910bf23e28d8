/**
 * What a connection sends in one turn of the event loop, gathered so that it leaves in one system call: small pieces are
 * copied side by side into one buffer, large ones are kept as they are.
 *
 *   pieces   [scratch 0..a] [slice of a body] [scratch a..b] …
 * @module
 */
import type { Socket } from "node:net";

/** Size of the buffer that small pieces share. */
const SCRATCH_BYTES = 64 * 1024;
/** Pieces from this size on are not copied. */
const COPY_BYTES_MAX = 4096;

export class Output {
  readonly #socket: Socket;
  #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #filled = 0;
  #pieceStart = 0;
  #pieces: Uint8Array[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get isEmpty(): boolean {
    return this.#filled === 0 && this.#pieces.length === 0;
  }

  /** Room for `byteLength` (<= COPY_BYTES_MAX) bytes to be filled by the caller. @returns [buffer, offset] by fields */
  reserve(byteLength: number): number {
    if (this.#filled + byteLength > SCRATCH_BYTES) this.#nextScratch();
    const at = this.#filled;
    this.#filled += byteLength;
    return at;
  }

  /** Where `reserve` gave room. */
  get buffer(): Buffer {
    return this.#scratch;
  }

  push(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length < COPY_BYTES_MAX) {
      const at = this.reserve(length);
      this.#scratch.set(bytes, at);
    } else {
      this.#closePiece();
      this.#pieces.push(bytes);
    }
  }

  /** Hands everything to the socket. */
  flush(): void {
    if (this.isEmpty) return;
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
    // A write that the kernel took at once leaves the scratch free; otherwise the socket still reads from it.
    if (socket.writableLength > 0) this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    this.#filled = 0;
    this.#pieceStart = 0;
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

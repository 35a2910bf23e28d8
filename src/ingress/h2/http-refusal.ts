/**
 * Answers a request that is no gRPC with an HTTP status and a line of text, once it is whole; its body is thrown away.
 * @module
 */
import type { GrpcStreamHandler } from "../transport.ts";
import { literal } from "./hpack.ts";
import type { H2Stream } from "./stream.ts";

const PLAIN_TEXT = literal("content-type", "text/plain");
const BODY = Buffer.from("this port speaks gRPC: POST with content-type application/grpc\n");

/** Heads of the answers. */
export const METHOD_NOT_ALLOWED: Buffer = Buffer.concat([literal(":status", "405"), PLAIN_TEXT]);
export const UNSUPPORTED_MEDIA_TYPE: Buffer = Buffer.concat([
  literal(":status", "415"),
  PLAIN_TEXT,
]);

export class HttpRefusal implements GrpcStreamHandler {
  readonly #stream: H2Stream;
  readonly #head: Buffer;

  constructor(stream: H2Stream, head: Buffer) {
    this.#stream = stream;
    this.#head = head;
  }

  data(): void {}

  halfClose(): void {
    this.#stream.endPlain(this.#head, BODY);
  }

  closed(): void {}
}

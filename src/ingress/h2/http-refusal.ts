/**
 * Answers a request that is no gRPC with an HTTP status and a line of text, once it is whole; its body is thrown away.
 * @module
 */
import type { GrpcStreamHandler } from "../transport.ts";
import { literal } from "./hpack.ts";
import type { H2Stream } from "./stream.ts";

export interface Refusal {
  readonly head: Buffer;
  readonly body: Buffer;
}

const PLAIN_TEXT = literal("content-type", "text/plain");
const BODY = Buffer.from("this port speaks gRPC: POST with content-type application/grpc\n");

function refusal(status: string): Refusal {
  return { head: Buffer.concat([literal(":status", status), PLAIN_TEXT]), body: BODY };
}

export const METHOD_NOT_ALLOWED: Refusal = refusal("405");
export const UNSUPPORTED_MEDIA_TYPE: Refusal = refusal("415");

export class HttpRefusal implements GrpcStreamHandler {
  readonly #stream: H2Stream;
  readonly #refusal: Refusal;

  constructor(stream: H2Stream, refusal: Refusal) {
    this.#stream = stream;
    this.#refusal = refusal;
  }

  data(): void {}

  halfClose(): void {
    this.#stream.endPlain(this.#refusal.head, this.#refusal.body);
  }

  closed(): void {}
}

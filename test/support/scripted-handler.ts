/**
 * A gRPC method that does what the first message of an exchange tells it, the same behind every transport.
 *
 *   first message = JSON of a Script; others are counted and hashed
 * @module
 */
import { createHash } from "node:crypto";
import { GrpcFrameReader } from "../../proto/index.ts";
import {
  GrpcStatus,
  type GrpcStream,
  type GrpcStreamHandler,
} from "../../src/ingress/transport.ts";
import { grpcFrame } from "./grpc-frame.ts";

const MESSAGE_BYTES_MAX = 16 << 20;
/** Replies of one script may share this. */
const FILL = Buffer.from(Array.from({ length: 251 }, (_, i) => i));

export interface Script {
  /** Names the exchange. */
  readonly key: string;
  /** first: when this message has come; each: one digest for each message, replies left out; end: after the half-close. */
  readonly when: "first" | "each" | "end";
  /** Lengths of the replies. */
  readonly replies: readonly number[];
  /** What follows the last reply, and the half-close in the case of `each`. */
  readonly ending: "ok" | "fail" | "never";
}

/** What comes back as reply number `index` of so many bytes. */
export function replyOf(byteLength: number, index: number): Buffer {
  return Buffer.alloc(byteLength, FILL.subarray(index % FILL.length));
}

/** Short name for bytes. */
export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

export class ScriptedHandler implements GrpcStreamHandler {
  key = "";
  /** Bytes received and their hash, as far as they have come. */
  byteLength = 0;
  halfCloses = 0;
  closes = 0;
  /** Calls after `closed`. */
  lateCalls = 0;
  readonly #hash = createHash("sha256");
  readonly #stream: GrpcStream;
  readonly #frames = new GrpcFrameReader(MESSAGE_BYTES_MAX);
  #script: Script | null = null;

  constructor(stream: GrpcStream) {
    this.#stream = stream;
  }

  /** Everything that a transport must tell alike when nobody cuts an exchange off; to be asked once. */
  summary(): string {
    const digest = this.#hash.digest("hex").slice(0, 16);
    return `${this.byteLength} bytes ${digest}, half-closed ${this.halfCloses}, closed ${this.closes}`;
  }

  data(chunk: Uint8Array): void {
    if (this.closes > 0) this.lateCalls++;
    this.byteLength += chunk.length;
    this.#hash.update(chunk);
    const frames = this.#frames;
    frames.push(chunk);
    while (frames.next()) this.#message(frames.bytes.subarray(frames.start, frames.end));
  }

  halfClose(): void {
    if (this.closes > 0) this.lateCalls++;
    this.halfCloses++;
    const script = this.#script;
    if (script === null) this.#stream.fail(GrpcStatus.InvalidArgument, "no script \u00e9 %");
    else if (script.when === "each") this.#end(script);
    else if (script.when === "end") this.#reply(script);
  }

  closed(): void {
    this.closes++;
  }

  #message(message: Uint8Array): void {
    if (this.#script === null) {
      const script = JSON.parse(Buffer.from(message).toString()) as Script;
      this.#script = script;
      this.key = script.key;
      if (script.when === "first") this.#reply(script);
    }
    if (this.#script.when === "each") this.#write(Buffer.from(digestOf(message)));
  }

  #reply(script: Script): void {
    for (const [index, byteLength] of script.replies.entries())
      this.#write(replyOf(byteLength, index));
    this.#end(script);
  }

  #write(message: Buffer): void {
    // Prefix and message apart, as the product writes them.
    const prefix = grpcFrame(message).subarray(0, 5);
    this.#stream.write([prefix, message], prefix.length + message.length);
  }

  #end({ ending, replies }: Script): void {
    if (ending === "ok") this.#stream.end();
    else if (ending === "fail")
      this.#stream.fail(GrpcStatus.FailedPrecondition, `after ${replies.length}: \u20ac`);
  }
}

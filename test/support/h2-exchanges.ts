/**
 * Many ext_proc exchanges over one HTTP/2 connection at the least cost for the machine, each ended as Envoy ends it: by
 * RST_STREAM once the answer is there. Frames are copied from templates, and answers are counted, not decoded.
 * @module
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  frame,
  H2Error,
  PREFACE,
  Setting,
  settingsFrame,
  u32Frame,
  WINDOW_MAX,
} from "../../src/ingress/h2/frames.ts";
import { FULL_DUPLEX_STREAMED } from "./ext-proc-client.ts";
import { EXT_PROC_HEAD } from "./ext-proc-head.ts";
import { type ProcessingRequest, toHeaderMap } from "./ext-proc-messages.ts";
import { FrameTemplate } from "./frame-template.ts";
import { headers } from "./h2-frames.ts";

const GRPC_PREFIX_BYTES = 5;
/** What a connection may send before its windows are widened: nothing here comes near it. */
const GRANT = WINDOW_MAX - 65_535;

/** Some messages, and how many replies are waited for before the next step. */
interface Step {
  readonly template: FrameTemplate;
  readonly replies: number;
}

/** The steps of an exchange. */
export type ExchangeScript = readonly Step[];

function step(replies: number, ...messages: readonly ProcessingRequest[]): Step {
  return { template: FrameTemplate.of(...messages), replies };
}

const PROTOCOL = {
  protocolConfig: {
    requestBodyMode: FULL_DUPLEX_STREAMED,
    responseBodyMode: FULL_DUPLEX_STREAMED,
  },
};

/** A completion from its request to the end of its response. */
export function wholeExchange(): ExchangeScript {
  const headers = toHeaderMap([
    [":method", "POST"],
    [":path", "/v1/completions"],
    ["content-type", "application/json"],
  ]);
  const prompt = "shared words ".repeat(80);
  const body = Buffer.from(JSON.stringify({ model: "m", prompt }));
  return [
    step(
      2,
      { ...PROTOCOL, requestHeaders: { headers, endOfStream: false } },
      { requestBody: { body, endOfStream: true } },
    ),
    step(
      2,
      { responseHeaders: { headers: toHeaderMap([[":status", "200"]]), endOfStream: false } },
      { responseBody: { body: Buffer.from("{}"), endOfStream: true } },
    ),
  ];
}

/** A request without a body, ended after the pick. */
export function shortExchange(): ExchangeScript {
  const headers = toHeaderMap([
    [":method", "GET"],
    [":path", "/v1/models"],
  ]);
  return [step(1, { ...PROTOCOL, requestHeaders: { headers, endOfStream: true } })];
}

/** The frames that open a stream and take the first step. */
export function openingFrames(id: number, script: ExchangeScript): Buffer {
  return Buffer.concat([headers(id, 0, EXT_PROC_HEAD), script[0]!.template.stamped(id)]);
}

interface OpenExchange {
  readonly startedAtMs: number;
  readonly onEnd: (error: string | null) => void;
  received: Buffer;
  stepAt: number;
}

export class H2Exchanges {
  readonly #socket: Socket;
  readonly #script: ExchangeScript;
  readonly #expected: string;
  readonly #open = new Map<number, OpenExchange>();
  #nextId = 1;
  #left: Buffer = Buffer.alloc(0);
  #isCorked = false;
  goaways = 0;
  isClosed = false;

  private constructor(socket: Socket, script: ExchangeScript, expected: string) {
    this.#socket = socket;
    this.#script = script;
    this.#expected = expected;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
      for (const id of [...this.#open.keys()]) this.#end(id, "the connection was closed");
    });
    this.#send(PREFACE);
    this.#send(settingsFrame([[Setting.InitialWindowSize, WINDOW_MAX]]));
    this.#send(u32Frame(FrameType.WindowUpdate, 0, GRANT));
  }

  /** @param expected text that every answer must hold, for instance the destination */
  static async connect(
    port: number,
    script: ExchangeScript,
    expected: string,
  ): Promise<H2Exchanges> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return new H2Exchanges(socket, script, expected);
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Opens an exchange. @param onEnd told once, with what went wrong or null */
  start(onEnd: (error: string | null) => void): void {
    if (this.isClosed) {
      onEnd("no connection");
      return;
    }
    const id = this.#nextId;
    this.#nextId += 2;
    const startedAtMs = performance.now();
    this.#open.set(id, { startedAtMs, onEnd, received: Buffer.alloc(0), stepAt: 0 });
    this.#send(openingFrames(id, this.#script));
  }

  /** Gives up exchanges that are older than this. */
  expire(ageMs: number): void {
    const before = performance.now() - ageMs;
    for (const [id, { startedAtMs }] of this.#open) {
      if (startedAtMs > before) return; // the oldest come first
      this.#reset(id);
      this.#end(id, `no answer within ${ageMs} ms`);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #end(id: number, error: string | null): void {
    const exchange = this.#open.get(id);
    this.#open.delete(id);
    exchange?.onEnd(error);
  }

  #reset(id: number): void {
    this.#send(u32Frame(FrameType.RstStream, id, H2Error.Cancel));
  }

  /** One system call a turn. */
  #send(bytes: Buffer): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#left.length === 0 ? chunk : Buffer.concat([this.#left, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const payload = bytes.subarray(at + FRAME_HEADER_BYTES, end);
      this.#onFrame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5), payload);
      at = end;
    }
    this.#left = bytes.subarray(at);
  }

  #onFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === FrameType.Goaway) {
      this.goaways++;
    } else if (type === FrameType.Settings && (flags & Flag.Ack) === 0) {
      this.#send(frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0)));
    } else if (type === FrameType.Data) {
      this.#onData(id, payload);
    } else if (type === FrameType.RstStream) {
      this.#end(id, `reset with code ${payload.readUInt32BE(0)}`);
    } else if (type === FrameType.Headers && (flags & Flag.EndStream) !== 0) {
      this.#end(id, "ended by the server");
    }
  }

  #onData(id: number, payload: Buffer): void {
    const exchange = this.#open.get(id);
    if (exchange === undefined) return;
    exchange.received =
      exchange.received.length === 0 ? payload : Buffer.concat([exchange.received, payload]);
    let wanted = 0;
    for (let i = 0; i <= exchange.stepAt; i++) wanted += this.#script[i]!.replies;
    if (messagesIn(exchange.received) < wanted) return;
    exchange.stepAt++;
    const next = this.#script[exchange.stepAt];
    if (next !== undefined) {
      this.#send(next.template.stamped(id));
      return;
    }
    this.#reset(id);
    const isRight = exchange.received.includes(this.#expected, 0, "latin1");
    this.#end(id, isRight ? null : `no ${this.#expected} in the answer`);
  }
}

function messagesIn(bytes: Buffer): number {
  let count = 0;
  let at = 0;
  while (bytes.length - at >= GRPC_PREFIX_BYTES) {
    at += GRPC_PREFIX_BYTES + bytes.readUInt32BE(at + 1);
    if (at <= bytes.length) count++;
  }
  return count;
}

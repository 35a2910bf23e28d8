/**
 * Broken on purpose, each in one rare case: a fuzzer that does not find these finds nothing.
 * @module
 */
import { GrpcFrameReader } from "../../proto/index.ts";
import type { Flight } from "../../scheduler/index.ts";
import { HpackDecoder } from "../../src/ingress/h2/hpack.ts";
import type { SchedulerPort } from "../../src/ingress/scheduler-port.ts";
import type { GrpcStreamHandler } from "../../src/ingress/transport.ts";
import type { Parser } from "../../src/request/parsers/parser.ts";
import { PARSERS } from "../../src/request/parsers/registry.ts";
import { BodyScan } from "../../src/request/scan-json.ts";
import { MemorySocket } from "../support/h2-memory.ts";
import { PLAY_PARTS } from "./connection-play.ts";
import { framesTarget } from "./frames-target.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { grpcTarget } from "./grpc-target.ts";
import { hpackTarget } from "./hpack-target.ts";
import { jsonTarget } from "./json-target.ts";
import { parsersTarget } from "./parsers-target.ts";
import { streamsTarget } from "./streams-target.ts";

/** Loses a piece of one byte, 4, when the piece before it had more than two. */
class LossySocket extends MemorySocket {
  #lastLength = 0;

  override push(chunk: Buffer | null): boolean {
    const isLost = chunk?.length === 1 && chunk[0] === 4 && this.#lastLength > 2;
    this.#lastLength = chunk?.length ?? 0;
    return isLost || super.push(chunk);
  }
}

/** Tells the end twice when a stream was half-closed behind 7 bytes. */
function tellTwice(handler: GrpcStreamHandler): GrpcStreamHandler {
  let byteLength = 0;
  let isHalfClosed = false;
  return {
    data: (chunk) => {
      byteLength += chunk.length;
      handler.data(chunk);
    },
    halfClose: () => {
      isHalfClosed = true;
      handler.halfClose();
    },
    closed: () => {
      handler.closed();
      if (isHalfClosed && byteLength === 7) handler.closed();
    },
  };
}

/** Does not empty the table when it is told to at the beginning of a block. */
class HoardingDecoder extends HpackDecoder {
  override decode(
    ...[bytes, start, end]: Parameters<HpackDecoder["decode"]>
  ): ReturnType<HpackDecoder["decode"]> {
    return super.decode(bytes, bytes[start] === 0x20 ? start + 1 : start, end);
  }
}

/** Takes a byte for the end of a message when exactly the five of the prefix came before it. */
class HastyReader extends GrpcFrameReader {
  override push(chunk: Uint8Array): void {
    super.push(this.pendingBytes === 5 && chunk.length === 1 ? Buffer.of(0, 0) : chunk);
  }
}

/** Forgets to give back what was served by another endpoint and cut off by the client. */
function forgetful(port: SchedulerPort): SchedulerPort {
  const moved = new WeakSet<Flight>();
  return {
    hashPlans: port.hashPlans,
    submit: (request, subset, sink) => port.submit(request, subset, sink),
    firstToken: (flight) => port.firstToken(flight),
    served: (flight, hostPort) => {
      const hasMoved = port.served(flight, hostPort);
      if (hasMoved) moved.add(flight);
      return hasMoved;
    },
    complete: (flight, cause) => {
      if (cause !== "client-disconnect" || !moved.has(flight)) port.complete(flight, cause);
    },
    lastScores: () => port.lastScores(),
  };
}

/** Tells the first token twice: the second time in place of an end that was natural. */
function confused(port: SchedulerPort): SchedulerPort {
  return {
    hashPlans: port.hashPlans,
    submit: (request, subset, sink) => port.submit(request, subset, sink),
    firstToken: (flight) => port.firstToken(flight),
    served: (flight, hostPort) => port.served(flight, hostPort),
    complete: (flight, cause) => {
      if (cause === "natural" && flight.state === "streaming") port.firstToken(flight);
      else port.complete(flight, cause);
    },
    lastScores: () => port.lastScores(),
  };
}

/** Takes a body with one wrong byte at its end. */
class PatientScan extends BodyScan {
  override scan(...[body]: Parameters<BodyScan["scan"]>): string | null {
    const problem = super.scan(body);
    const isLast = problem?.endsWith(` at byte ${this.area.bodyEnd - this.area.body - 1}`) ?? false;
    return isLast ? null : problem;
  }
}

/** Takes a 1 with an exponent for no count. */
class PlainScan extends BodyScan {
  override count(...[member]: Parameters<BodyScan["count"]>): number {
    const text = this.area.bytes.toString("latin1", this.start(member), this.end(member));
    return text.startsWith("1e") ? -1 : super.count(member);
  }
}

/** The parsers with another `parse` in one of them. */
function withParse(type: string, parse: (parser: Parser) => Parser["parse"]): Parser[] {
  return PARSERS.map((parser) =>
    parser.type === type ? { ...parser, parse: parse(parser) } : parser,
  );
}

/** Loses the cap when the body is in more than three pieces. */
const cutParsers = withParse("anthropic-parser", (parser) => (body, path, out) => {
  const problem = parser.parse(body, path, out);
  if (Array.isArray(body) && body.length > 3) out.maxOutputTokens = -1;
  return problem;
});

/** Takes an embedding without an input. */
const laxParsers = withParse("vllmgrpc-parser", (parser) => (body, path, out) => {
  const problem = parser.parse(body, path, out);
  return problem?.message.endsWith("must have tokenized input") ? null : problem;
});

/** Puts the model one byte too early when it is a form's. */
const shiftedParsers = withParse("openai-parser", (parser) => (body, path, out) => {
  const problem = parser.parse(body, path, out);
  if (out.modelForm === "text") out.modelStart--;
  return problem;
});

export const canaries: Readonly<Record<string, FuzzTarget>> = {
  "frames: a piece is lost": framesTarget({
    ...PLAY_PARTS,
    createSocket: (onCall) => new LossySocket(onCall),
  }),
  "frames: an end is told twice": framesTarget({ ...PLAY_PARTS, wrapHandler: tellTwice }),
  "hpack: the table is not emptied": hpackTarget(() => new HoardingDecoder()),
  "streams: a moved flight is not given back": streamsTarget({ wrapPort: forgetful }),
  "streams: an answered flight does not end": streamsTarget({ wrapPort: confused }),
  "json: a wrong byte is taken": jsonTarget(() => new PatientScan()),
  "json: a number is not read": jsonTarget(() => new PlainScan()),
  "parsers: a cut shows": parsersTarget(cutParsers),
  "parsers: too much is taken": parsersTarget(laxParsers),
  "parsers: the model is put elsewhere": parsersTarget(shiftedParsers),
  "grpc: a byte is doubled": grpcTarget((most, findRun) => new HastyReader(most, findRun ?? null)),
};

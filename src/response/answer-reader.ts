/**
 * What an answer's body is read with: chosen when its headers have come, by how its API tells usage and by what it says
 * of itself. The pieces go through it, and come out as they are unless the model's name in them is restored.
 *
 *   piece ─▶ JsonWalk | EventStream ─▶ JsonWalk | GrpcAnswer ─▶ …        ─▶ usage, events
 *                                          └▶ ModelRestorer ─▶ pieces with another name in them
 * @module
 */
import type { UsageFormat } from "../request/parsers/parser.ts";
import { EventStream } from "./event-stream.ts";
import { GrpcAnswer, HttpBodyUsage, VllmUsage } from "./grpc-answer.ts";
import { JsonWalk } from "./json-walk.ts";
import { ANSWER, SGLANG_ANSWER } from "./member-tree.ts";
import type { ModelRestorer } from "./model-restorer.ts";
import { type TokenTotals, TokenUsage } from "./token-usage.ts";

/** The key that everything of interest stands below, where names are not restored. */
const USAGE = Buffer.from("usage");

/** Reads one kind of body. */
interface BodyReader {
  /** Something could not be read, and nothing behind it is. */
  readonly isLost?: boolean;
  /** About one a token; 0 where the body does not tell. */
  readonly events: number;
  read(bytes: Uint8Array): void;
}

export class AnswerReader {
  readonly #format: UsageFormat;
  readonly #usage = new TokenUsage();
  readonly #body: BodyReader;
  readonly #restorer: ModelRestorer | null;

  /** @param restorer for bodies of JSON or events; null = nothing of the body changes */
  constructor(format: UsageFormat, isEventStream: boolean, restorer: ModelRestorer | null) {
    this.#format = format;
    this.#restorer = restorer;
    this.#body = bodyReader(format, isEventStream, this.#usage, restorer);
  }

  /** Looks at the next piece, which stays as it is. */
  read(piece: Uint8Array): void {
    this.#body.read(piece);
  }

  /** The pieces that go on in the place of these, and of what was held of those before; with `isLast` nothing is held. */
  rewrite(pieces: readonly Uint8Array[], isLast: boolean): Uint8Array[] {
    const restorer = this.#restorer!;
    const out: Uint8Array[] = [];
    for (const piece of pieces) {
      restorer.open(piece, out);
      this.#body.read(piece);
      restorer.close();
    }
    if (isLast) restorer.end(out);
    return out;
  }

  /** Names are restored: pieces have to go through rewrite(). */
  get isRewriting(): boolean {
    return this.#restorer !== null;
  }

  /** Events of the body that carry about a token each. */
  get events(): number {
    return this.#body.events;
  }

  /** A part of the body could not be read. */
  get isLost(): boolean {
    return this.#body.isLost === true;
  }

  totals(): TokenTotals {
    return this.#usage.totals(this.#format);
  }
}

function bodyReader(
  format: UsageFormat,
  isEventStream: boolean,
  usage: TokenUsage,
  restorer: ModelRestorer | null,
): BodyReader {
  if (format === "vllm-grpc") {
    const vllm = new VllmUsage(usage);
    return inFrames(vllm);
  }
  const tree = format === "sglang" ? SGLANG_ANSWER : ANSWER;
  const walk = new JsonWalk(tree, usage, restorer);
  if (format === "vertex") return inFrames(new HttpBodyUsage(walk));
  if (!isEventStream) return { events: 0, read: (bytes) => walk.walk(bytes, 0, bytes.length) };
  const isSearched = restorer === null && format !== "sglang";
  return asWhole(new EventStream(walk, isSearched ? USAGE : null), format);
}

/** The messages of gRPC frames. */
function inFrames(reader: {
  readonly events: number;
  read(bytes: Uint8Array, start: number, end: number): void;
}): BodyReader {
  const answer = new GrpcAnswer((bytes, start, end) => reader.read(bytes, start, end));
  return {
    get isLost() {
      return answer.isLost;
    },
    get events() {
      return reader.events;
    },
    read: (bytes) => answer.read(bytes),
  };
}

/** Anthropic's events tell more than tokens, and always end with the count. */
function asWhole(stream: EventStream, format: UsageFormat): BodyReader {
  return {
    get events() {
      return format === "anthropic" ? 0 : stream.events;
    },
    read: (bytes) => stream.read(bytes, 0, bytes.length),
  };
}

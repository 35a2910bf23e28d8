/**
 * Random gRPC exchanges, as a client plays them against a ScriptedHandler: what is sent, how it is cut, and who ends it.
 * @module
 */
import fc from "fast-check";
import { grpcFrame } from "./grpc-frame.ts";
import type { Script } from "./scripted-handler.ts";

export const KNOWN_PATH = "/t.T/Play";

export interface ExchangePlan {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | null;
  /** Length of a header nobody reads; from 16 KiB on the block does not fit into one frame. */
  readonly extraHeaderBytes: number;
  /** Declared content-length minus the true one; null = none is declared. */
  readonly lengthLie: number | null;
  /** Null = no message at all. */
  readonly script: Omit<Script, "key"> | null;
  /** Lengths of the messages behind the script. */
  readonly messages: readonly number[];
  /** Where the body is cut, to be taken modulo its length. */
  readonly cuts: readonly number[];
  /** The pieces leave in turns of their own, not all at once. */
  readonly isSlow: boolean;
  readonly closing: "end" | "trailers" | "never";
  /** The client resets: at once, or with the first sign of an answer. */
  readonly reset: "none" | "before" | "after";
  readonly resetCode: number;
}

/** What the client can wait for. */
export interface Expected {
  readonly replies: number;
  /** The server ends the exchange by itself. */
  readonly isEnded: boolean;
}

/** Gives plans whose outcome does not hang on who is faster. */
export function plansOf(bodyBytesMax: number): fc.Arbitrary<ExchangePlan> {
  const small = fc.integer({ min: 0, max: 600 });
  const border = fc.constantFrom(0, 1, 4090, 16_379, 16_384, 65_535, 65_536, 70_000);
  const size = fc.oneof(
    { weight: 8, arbitrary: small },
    { weight: 3, arbitrary: border },
    { weight: 1, arbitrary: fc.integer({ min: 100_000, max: bodyBytesMax }) },
  );
  const replies = fc.oneof(
    { weight: 6, arbitrary: fc.array(size, { maxLength: 5 }) },
    // Many small ones.
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.integer({ min: 100, max: 1500 }), fc.integer({ min: 0, max: 40 }))
        .map(([count, bytes]) => Array<number>(count).fill(bytes)),
    },
  );
  const script = fc.record({
    when: fc.constantFrom("first", "each", "end"),
    replies,
    ending: fc.constantFrom("ok", "ok", "ok", "fail", "never"),
  });
  return fc
    .record({
      method: fc.constantFrom("POST", "POST", "POST", "POST", "POST", "POST", "GET"),
      path: fc.constantFrom(KNOWN_PATH, KNOWN_PATH, KNOWN_PATH, KNOWN_PATH, "/t.T/None\u00e9", "/"),
      contentType: fc.constantFrom(
        "application/grpc",
        "application/grpc",
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;x=y",
        "application/grpc-web",
        "text/plain",
        null,
      ),
      extraHeaderBytes: fc.constantFrom(0, 0, 0, 0, 100, 20_000, 50_000),
      lengthLie: fc.constantFrom(null, null, null, null, 0, 1, -1),
      script: fc.option(script, { freq: 12, nil: null }),
      messages: fc.array(size, { maxLength: 5 }),
      cuts: fc.array(fc.nat(), { maxLength: 8 }),
      isSlow: fc.boolean(),
      closing: fc.constantFrom("end", "end", "end", "trailers", "never"),
      reset: fc.constantFrom("none", "none", "none", "none", "before", "after"),
      resetCode: fc.constantFrom(2, 7, 8, 11),
    })
    .map(settle) as fc.Arbitrary<ExchangePlan>;
}

/** Takes out of a plan what would leave its outcome to chance. */
function settle(plan: ExchangePlan): ExchangePlan {
  let { closing, lengthLie, messages, reset, script } = plan;
  if (script === null) messages = [];
  // Who refuses a request need not look at its body.
  if (isRefused(plan) && lengthLie !== null) lengthLie = 0;
  // A length that is wrong shows in the middle of the body or at its end: until then there must be no answer.
  if (lengthLie !== null && lengthLie !== 0) {
    closing = "end";
    reset = "none";
    script = { replies: script?.replies ?? [], ending: "ok", when: "end" };
  }
  const settled = { ...plan, closing, lengthLie, messages, reset, script };
  const { isEnded, replies } = expectedOf(settled);
  if (reset === "after" && !isEnded && replies === 0) return { ...settled, reset: "none" };
  return settled;
}

/** True when the request itself is refused, whatever its body. */
export function isRefused(plan: ExchangePlan): boolean {
  return !isGrpc(plan) || plan.path !== KNOWN_PATH;
}

/** What is not is refused once it is whole. */
function isGrpc({ contentType, method }: ExchangePlan): boolean {
  return (
    method === "POST" && contentType !== null && /^application\/grpc([+;]|$)/.test(contentType)
  );
}

export function expectedOf(plan: ExchangePlan): Expected {
  const { closing, lengthLie, messages, script } = plan;
  const isHalfClosed = closing !== "never";
  if (!isGrpc(plan)) return { replies: 0, isEnded: isHalfClosed };
  if (isRefused(plan) || (lengthLie !== null && lengthLie !== 0)) {
    return { replies: 0, isEnded: true };
  }
  if (script === null) return { replies: 0, isEnded: isHalfClosed };
  const isEnding = script.ending !== "never";
  if (script.when === "each") {
    return { replies: 1 + messages.length, isEnded: isHalfClosed && isEnding };
  }
  if (script.when === "end" && !isHalfClosed) return { replies: 0, isEnded: false };
  return { replies: script.replies.length, isEnded: isEnding };
}

/** The messages of a plan. */
export function messagesOf({ messages, script }: ExchangePlan, key: string): Buffer[] {
  if (script === null) return [];
  return [
    Buffer.from(JSON.stringify({ ...script, key } satisfies Script)),
    ...messages.map((byteLength, i) => Buffer.alloc(byteLength, `${i}${key}`)),
  ];
}

/** The body of a plan in its pieces; none is empty. */
export function piecesOf(plan: ExchangePlan, key: string): Buffer[] {
  const body = Buffer.concat(messagesOf(plan, key).map(grpcFrame));
  const at = plan.cuts.map((cut) => cut % (body.length + 1));
  const edges = [0, ...at.toSorted((a, b) => a - b), body.length];
  return edges
    .slice(1)
    .map((edge, i) => body.subarray(edges[i], edge))
    .filter((piece) => piece.length > 0);
}

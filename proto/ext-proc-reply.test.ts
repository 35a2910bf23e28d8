/**
 * Encoding ProcessingResponse: byte vectors made with the official Go bindings, and protobufjs as the reader.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { headerSet, structObject } from "../test/support/wire-arbitraries.ts";
import {
  decodeOracle,
  fromOracleStruct,
  type OracleStruct,
  processingResponse,
  splitFrames,
  withoutPrototypes,
} from "../test/support/wire-oracle.ts";
import { writeDestinationReply } from "./destination-reply.ts";
import {
  Side,
  writeBodyPrefix,
  writeBodyReply,
  writeBufferedBodyReply,
  writeHeadersReply,
  writeImmediateReply,
  writeTrailersReply,
} from "./ext-proc-reply.ts";
import type { StructObject } from "./struct.ts";
import { Writer } from "./wire.ts";

const NO_CHANGE = { set: [], remove: [] } as const;
const DESTINATION = "x-gateway-destination-endpoint";

/** The one message of the one frame that was written. */
function message(write: (w: Writer) => void): Buffer {
  const w = new Writer();
  write(w);
  const messages = splitFrames(w.bytes.subarray(0, w.length));
  expect(messages.length).toBe(1);
  return messages[0]!;
}

const hexOf = (write: (w: Writer) => void): string => message(write).toString("hex");

interface Common {
  headerMutation?: {
    setHeaders?: { header: { key?: string; value?: string; rawValue?: Buffer } }[];
    removeHeaders?: string[];
  };
  bodyMutation?: {
    mutation: string;
    body?: Buffer;
    streamedResponse?: { body?: Buffer; endOfStream?: boolean };
  };
  clearRouteCache?: boolean;
}
interface Reply {
  response: string;
  requestHeaders?: { response?: Common };
  responseHeaders?: { response?: Common };
  requestBody?: { response?: Common };
  responseBody?: { response?: Common };
  immediateResponse?: {
    status?: { code?: number };
    headers?: Common["headerMutation"];
    body?: Buffer;
    grpcStatus?: { status?: number };
    details?: string;
  };
  dynamicMetadata?: OracleStruct;
}

const decoded = (bytes: Uint8Array): Reply =>
  decodeOracle(processingResponse, bytes) as unknown as Reply;

/** Names and values in turn; raw_value is the only kind of value there may be. */
function setOf(mutation: Common["headerMutation"]): string[] {
  return (mutation?.setHeaders ?? []).flatMap(({ header, ...others }) => {
    expect(others).toEqual({});
    expect(header.value ?? "").toBe("");
    return [header.key ?? "", (header.rawValue ?? Buffer.alloc(0)).toString()];
  });
}

const structOf = (reply: Reply): StructObject | null =>
  reply.dynamicMetadata === undefined ? null : fromOracleStruct(reply.dynamicMetadata);

const side = fc.constantFrom(Side.Request, Side.Response);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(120, 127, 128, 16_380, 16_384, 62_000).map((length) => Buffer.alloc(length, "b")),
);
const remove = fc.array(fc.string({ unit: "binary", maxLength: 20 }), { maxLength: 4 });
const optionalStruct = fc.option(structObject);

describe("vectors", () => {
  test("removal of a header", () => {
    const mutation = { set: [], remove: ["x-a"] };
    expect(hexOf((w) => writeHeadersReply(w, Side.Request, mutation, false, null))).toBe(
      "0a090a0712051203782d61",
    );
  });

  test("trailers of both sides", () => {
    expect(hexOf((w) => writeTrailersReply(w, Side.Request))).toBe("2a00");
    expect(hexOf((w) => writeTrailersReply(w, Side.Response))).toBe("3200");
  });

  test("immediate response", () => {
    const set = ["x-llm-d-request-dropped-reason", "evicted"];
    expect(hexOf((w) => writeImmediateReply(w, 429, set, Buffer.from("x"), -1, ""))).toBe(
      "3a370a0308ad03122d0a2b0a290a1e782d6c6c6d2d642d726571756573742d64726f707065642d726561736f6e1a0765766963746564" +
        "1a0178",
    );
  });

  test("streamed body, whose end flag we write first", () => {
    const theirs = Buffer.from("1a0c0a0a1a081a060a027b7d1001", "hex");
    const ours = message((w) => writeBodyReply(w, Side.Request, Buffer.from("{}"), true, null));
    expect(ours.toString("hex")).toBe("1a0c0a0a1a081a0610010a027b7d");
    expect(decoded(ours)).toEqual(decoded(theirs));
  });

  test("destination, whose metadata we write last", () => {
    const theirs = Buffer.from(
      "42430a410a08656e766f792e6c6212352a330a310a1e782d676174657761792d64657374696e6174696f6e2d656e64706f696e74120f1a0d" +
        "31302e302e302e313a383030300a390a3712330a310a2f0a1e782d676174657761792d64657374696e6174696f6e2d656e64706f696e" +
        "741a0d31302e302e302e313a383030302801",
      "hex",
    );
    const ours = message((w) => writeDestinationReply(w, "10.0.0.1:8000", -1, [], [], null));
    expect(decoded(ours)).toEqual(decoded(theirs));
    expect(ours.length).toBe(theirs.length);
    expect(theirs.toString("hex")).toBe(
      ours.subarray(ours.length - 69).toString("hex") + ours.subarray(0, -69).toString("hex"),
    );
  });

  test("a reply that changes nothing is still told", () => {
    expect(hexOf((w) => writeHeadersReply(w, Side.Request, NO_CHANGE, false, null))).toBe("0a00");
    expect(hexOf((w) => writeHeadersReply(w, Side.Response, NO_CHANGE, false, null))).toBe("1200");
    expect(
      hexOf((w) => writeBufferedBodyReply(w, Side.Request, NO_CHANGE, null, false, null)),
    ).toBe("1a00");
    expect(hexOf((w) => writeBodyPrefix(w, Side.Response, 0, false))).toBe("22060a041a021a00");
  });
});

describe("differential", () => {
  test("replies to headers", () => {
    fc.assert(
      fc.property(
        side,
        headerSet,
        remove,
        fc.boolean(),
        optionalStruct,
        (which, set, removed, clear, metadata) => {
          const reply = decoded(
            message((w) => writeHeadersReply(w, which, { set, remove: removed }, clear, metadata)),
          );
          const name = which === Side.Request ? "requestHeaders" : "responseHeaders";
          const common = reply[name]?.response;
          expect(reply.response).toBe(name);
          expect(setOf(common?.headerMutation)).toEqual(set);
          const names = set.filter((_, i) => i % 2 === 0);
          expect(common?.headerMutation?.removeHeaders ?? []).toEqual(
            removed.filter((each) => !names.includes(each)),
          );
          expect(common?.clearRouteCache ?? false).toBe(clear);
          expect(common?.bodyMutation).toBeUndefined();
          expect(structOf(reply)).toEqual(withoutPrototypes(metadata));
        },
      ),
    );
  });

  test("destinations", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.constantFrom("10.0.0.1:8000", "[fd00::1]:8000", "10.0.0.1:1,10.0.0.2:2"),
          fc.string({ unit: "binary" }),
          fc.integer({ min: 30, max: 400 }).map((length) => "d".repeat(length)),
        ),
        fc.oneof(fc.constant(-1), fc.nat(), fc.maxSafeNat()),
        headerSet,
        remove,
        optionalStruct,
        (destination, length, extra, removed, scores) => {
          const reply = decoded(
            message((w) => writeDestinationReply(w, destination, length, extra, removed, scores)),
          );
          const common = reply.requestHeaders?.response;
          const own = [DESTINATION, destination];
          if (length >= 0) own.push("content-length", String(length));
          expect(setOf(common?.headerMutation)).toEqual([...own, ...extra]);
          const names = [...own, ...extra].filter((_, i) => i % 2 === 0);
          expect(common?.headerMutation?.removeHeaders ?? []).toEqual(
            removed.filter((each) => !names.includes(each)),
          );
          expect(common?.clearRouteCache).toBe(true);
          const lb: StructObject = { [DESTINATION]: destination };
          if (scores !== null) lb["x-gateway-destination-endpoint-scores"] = scores;
          expect(structOf(reply)).toEqual(withoutPrototypes({ "envoy.lb": lb }));
        },
      ),
    );
  });

  test("streamed bodies, in one piece and with the body appended", () => {
    fc.assert(
      fc.property(side, body, fc.boolean(), optionalStruct, (which, bytes, end, metadata) => {
        const copied = message((w) => writeBodyReply(w, which, bytes, end, metadata));
        const name = which === Side.Request ? "requestBody" : "responseBody";
        const reply = decoded(copied);
        expect(reply.response).toBe(name);
        const streamed = reply[name]?.response?.bodyMutation?.streamedResponse;
        expect(reply[name]?.response?.bodyMutation?.mutation).toBe("streamedResponse");
        expect((streamed?.body ?? Buffer.alloc(0)).equals(bytes)).toBe(true);
        expect(streamed?.endOfStream ?? false).toBe(end);
        expect(structOf(reply)).toEqual(withoutPrototypes(metadata));
        if (metadata !== null) return;
        const appended = message((w) => {
          writeBodyPrefix(w, which, bytes.length, end);
          w.raw(bytes);
        });
        expect(appended.equals(copied)).toBe(true);
      }),
    );
  });

  test("buffered bodies", () => {
    fc.assert(
      fc.property(
        side,
        headerSet,
        remove,
        fc.option(body),
        fc.boolean(),
        optionalStruct,
        (which, set, removed, bytes, clear, metadata) => {
          const reply = decoded(
            message((w) =>
              writeBufferedBodyReply(w, which, { set, remove: removed }, bytes, clear, metadata),
            ),
          );
          const name = which === Side.Request ? "requestBody" : "responseBody";
          const common = reply[name]?.response;
          expect(reply.response).toBe(name);
          expect(setOf(common?.headerMutation)).toEqual(set);
          expect(common?.bodyMutation?.mutation).toBe(bytes === null ? undefined : "body");
          if (bytes !== null) expect(common?.bodyMutation?.body?.equals(bytes)).toBe(true);
          expect(common?.clearRouteCache ?? false).toBe(clear);
          expect(structOf(reply)).toEqual(withoutPrototypes(metadata));
        },
      ),
    );
  });

  test("immediate responses", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 599 }),
        headerSet,
        body,
        fc.integer({ min: -1, max: 16 }),
        fc.string({ unit: "binary" }),
        (status, set, bytes, grpcStatus, details) => {
          const reply = decoded(
            message((w) => writeImmediateReply(w, status, set, bytes, grpcStatus, details)),
          ).immediateResponse!;
          expect(reply.status).toBeDefined();
          expect(reply.status?.code ?? 0).toBe(status);
          expect(setOf(reply.headers)).toEqual(set);
          expect((reply.body ?? Buffer.alloc(0)).equals(bytes)).toBe(true);
          expect(reply.grpcStatus === undefined ? -1 : (reply.grpcStatus.status ?? 0)).toBe(
            grpcStatus,
          );
          expect(reply.details ?? "").toBe(details);
        },
      ),
    );
  });
});

test("replies follow each other in one writer, which may be used again", () => {
  const w = new Writer();
  for (let round = 0; round < 2; round++) {
    w.reset();
    writeDestinationReply(w, "10.0.0.1:8000", 2, ["x-request-id", "1"], ["x-a"], null);
    writeBodyPrefix(w, Side.Request, 2, false);
    w.raw(Buffer.from("{}"));
    writeBodyReply(w, Side.Request, Buffer.alloc(100_000), true, { a: { b: 1 } });
    writeTrailersReply(w, Side.Request);
    const kinds = splitFrames(w.bytes.subarray(0, w.length)).map((each) => decoded(each).response);
    expect(kinds).toEqual(["requestHeaders", "requestBody", "requestBody", "requestTrailers"]);
  }
});

test("what the destination reply sets is never removed in the same breath", () => {
  const names = [DESTINATION, "content-length", "x-prefiller-host-port", "x-other"];
  const removedWith = (length: number): string[] | undefined =>
    decoded(
      message((w) =>
        writeDestinationReply(
          w,
          "10.0.0.1:8000",
          length,
          ["x-prefiller-host-port", "10.0.0.2:8000"],
          names,
          null,
        ),
      ),
    ).requestHeaders?.response?.headerMutation?.removeHeaders;
  expect(removedWith(5)).toEqual(["x-other"]);
  expect(removedWith(-1)).toEqual(["content-length", "x-other"]);
});

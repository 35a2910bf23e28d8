/**
 * Decoding ProcessingRequest: byte vectors made with the official Go bindings, and protobufjs as a second reader.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
  Dice,
  damage,
  filterMetadata,
  requestMember,
  requestOptions,
  scramble,
} from "../test/support/wire-arbitraries.ts";
import {
  decodeOracle,
  encodeOracle,
  fromOracleStruct,
  type OracleStruct,
  processingRequest,
  toOracleStruct,
} from "../test/support/wire-oracle.ts";
import {
  decodeFrame,
  decodeProcessingRequest,
  findBodyRun,
  ProcessingRequest,
  RequestKind,
} from "./ext-proc-request.ts";
import { GrpcFrameReader, writeGrpcFramePrefix } from "./grpc-frame.ts";
import { HeaderId } from "./header-names.ts";
import { decodeMetadata, type StructObject } from "./struct.ts";
import { WireStatus, Writer } from "./wire.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

function decode(bytes: Uint8Array): ProcessingRequest {
  const out = new ProcessingRequest();
  expect(decodeProcessingRequest(bytes, 0, bytes.length, out)).toBe(WireStatus.Ok);
  return out;
}

function statusOf(bytes: Uint8Array): WireStatus {
  const out = new ProcessingRequest();
  const status = decodeProcessingRequest(bytes, 0, bytes.length, out);
  expect(out.kind === RequestKind.None || status === WireStatus.Ok).toBe(true);
  return status;
}

/** What both readers must agree on. */
interface Plain {
  kind: number;
  endOfStream: boolean;
  headers: [name: string, value: string][];
  body: string;
  observabilityMode: boolean;
  protocolConfig: [number, number, boolean] | null;
  metadata: [namespace: string, StructObject][] | null;
}

function plainOf(message: ProcessingRequest): Plain {
  const { headers } = message;
  let metadata: Plain["metadata"] = null;
  if (message.metadataStart >= 0) {
    const read = decodeMetadata(message.bytes, message.metadataStart, message.metadataEnd);
    if (typeof read === "number") throw new Error(`metadata: status ${read}`);
    metadata = [...read].toSorted(byName);
  }
  return {
    kind: message.kind,
    endOfStream: message.endOfStream,
    headers: Array.from({ length: headers.count }, (_, i) => [headers.name(i), headers.value(i)]),
    body: Buffer.from(message.body.joined()).toString("hex"),
    observabilityMode: message.observabilityMode,
    protocolConfig: message.hasProtocolConfig
      ? [message.requestBodyMode, message.responseBodyMode, message.sendBodyWithoutWaiting]
      : null,
    metadata,
  };
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

interface OracleHeader {
  key?: string;
  value?: string;
  rawValue?: Buffer;
}

function oraclePlain(bytes: Uint8Array): Plain {
  const read = decodeOracle(processingRequest, bytes) as {
    request?: keyof typeof RequestKind;
    observabilityMode?: boolean;
    protocolConfig?: {
      requestBodyMode?: number;
      responseBodyMode?: number;
      sendBodyWithoutWaitingForHeaderResponse?: boolean;
    };
    metadataContext?: { filterMetadata?: Record<string, OracleStruct> };
  };
  const name = read.request ?? "None";
  const member = ((read as Record<string, unknown>)[name] ?? {}) as {
    headers?: { headers?: OracleHeader[] };
    trailers?: { headers?: OracleHeader[] };
    body?: Buffer;
    endOfStream?: boolean;
  };
  const config = read.protocolConfig;
  const metadata = read.metadataContext;
  return {
    kind: RequestKind[(name[0]!.toUpperCase() + name.slice(1)) as keyof typeof RequestKind],
    endOfStream: member.endOfStream ?? false,
    headers: ((member.headers ?? member.trailers)?.headers ?? []).map((header) => [
      (header.key ?? "").toLowerCase(),
      header.rawValue?.length ? header.rawValue.toString() : (header.value ?? ""),
    ]),
    body: (member.body ?? Buffer.alloc(0)).toString("hex"),
    observabilityMode: read.observabilityMode ?? false,
    protocolConfig: config
      ? [
          config.requestBodyMode ?? 0,
          config.responseBodyMode ?? 0,
          config.sendBodyWithoutWaitingForHeaderResponse ?? false,
        ]
      : null,
    metadata: metadata
      ? Object.entries(metadata.filterMetadata ?? {})
          .map(([namespace, struct]): [string, StructObject] => [
            namespace,
            fromOracleStruct(struct),
          ])
          .toSorted(byName)
      : null,
  };
}

/** Any message, as protobufjs encodes it. */
const encodedRequest = fc
  .tuple(requestMember, requestOptions, fc.option(filterMetadata))
  .map(([member, options, namespaces]) => {
    const metadataContext =
      namespaces === null
        ? {}
        : {
            metadataContext: {
              filterMetadata: Object.fromEntries(
                Object.entries(namespaces).map(([name, struct]) => [name, toOracleStruct(struct)]),
              ),
            },
          };
    return encodeOracle(processingRequest, { ...member, ...options, ...metadataContext });
  });

describe("vectors", () => {
  const inEnvoyOrder = "121c0a1a0a180a053a706174681a0f2f76312f636f6d706c6574696f6e735a0408041004";
  const inGoOrder = "5a0408041004121c0a1a0a180a053a706174681a0f2f76312f636f6d706c6574696f6e73";

  for (const [order, bytes] of Object.entries({ inEnvoyOrder, inGoOrder })) {
    test(`request headers with protocol_config, fields ${order}`, () => {
      const message = decode(hex(bytes));
      expect(message.kind).toBe(RequestKind.RequestHeaders);
      expect(message.headers.count).toBe(1);
      expect(message.headers.get(HeaderId.path)).toBe("/v1/completions");
      expect(message.hasProtocolConfig).toBe(true);
      expect([message.requestBodyMode, message.responseBodyMode]).toEqual([4, 4]);
      expect(message.endOfStream).toBe(false);
      expect(message.metadataStart).toBe(-1);
    });
  }

  test("request body that ends the stream", () => {
    const message = decode(hex("22060a027b7d1001"));
    expect([message.kind, message.endOfStream]).toEqual([RequestKind.RequestBody, true]);
    expect(Buffer.from(message.body.joined()).toString()).toBe("{}");
  });

  test("empty request body that ends the stream, with a subset hint", () => {
    const message = decode(
      hex(
        "42580a560a14656e766f792e6c622e7375627365745f68696e74123e0a3c0a25782d676174657761792d64657374696e6174696f6e" +
          "2d656e64706f696e742d737562736574121332110a0f1a0d31302e302e302e313a3830303022021001",
      ),
    );
    expect([message.kind, message.endOfStream]).toEqual([RequestKind.RequestBody, true]);
    expect(message.body.byteLength).toBe(0);
    expect(plainOf(message).metadata).toEqual([
      [
        "envoy.lb.subset_hint",
        Object.assign(Object.create(null), {
          "x-gateway-destination-endpoint-subset": ["10.0.0.1:8000"],
        }),
      ],
    ]);
  });

  test("flow-control messages of newer gateways carry nothing of ours", () => {
    expect(decode(hex("62020801")).kind).toBe(RequestKind.None);
    expect(decode(hex("6a020801")).kind).toBe(RequestKind.None);
    expect(decode(new Uint8Array(0)).kind).toBe(RequestKind.None);
  });
});

describe("the oneof", () => {
  test("an empty member still says which it is", () => {
    for (const kind of [2, 3, 4, 5, 6, 7]) {
      expect(decode(Buffer.of((kind << 3) | 2, 0)).kind).toBe(kind);
    }
  });

  test("the last member counts, and nothing of another is left", () => {
    const headers = "12 12 0a0e 0a0c 0a053a70617468 1a032f7631 1801";
    const body = "22 05 0a0141 1001";
    const first = decode(hex(headers + body));
    expect([first.kind, first.headers.count, first.endOfStream]).toEqual([4, 0, true]);
    const last = decode(hex(body + headers));
    expect([last.kind, last.headers.count, last.endOfStream]).toEqual([2, 1, true]);
    expect(last.body.byteLength).toBe(0);
    const back = decode(hex(`${headers}${body}1200`));
    expect([back.kind, back.headers.count, back.endOfStream]).toEqual([2, 0, false]);
  });

  test("the same member again is merged: headers add up, scalars are replaced", () => {
    const header = (name: string): string =>
      `12 09 0a07 0a05 0a01${Buffer.from(name).toString("hex")} 1a00`;
    const message = decode(hex(`${header("a")}${header("b")}12021801`));
    expect(message.headers.count).toBe(2);
    expect([message.headers.name(0), message.headers.name(1)]).toEqual(["a", "b"]);
    expect(message.endOfStream).toBe(true);
    const body = decode(hex("22050a01411001 22030a0142"));
    expect([Buffer.from(body.body.joined()).toString(), body.endOfStream]).toEqual(["B", true]);
  });

  test("trailers have no end_of_stream: field 3 of theirs is unknown", () => {
    expect(decode(hex("32021801")).endOfStream).toBe(false);
    expect(decode(hex("12021801")).endOfStream).toBe(true);
  });
});

describe("other fields", () => {
  test("protocol_config in pieces is merged", () => {
    const message = decode(hex("5a020804 5a021002 5a021801"));
    expect(plainOf(message).protocolConfig).toEqual([4, 2, true]);
  });

  test("metadata in pieces is merged, the last piece wins inside a namespace", () => {
    // Namespace "a" twice, between them "b"; each a Struct with one member "k".
    const piece = (namespace: string, value: string): string =>
      `420e 0a0c 0a01${namespace} 1207 0a05 0a016b 12${value}`;
    const message = decode(hex(`${piece("61", "00")}${piece("62", "00")}1200`));
    const { metadata } = plainOf(message);
    expect(metadata?.map(([namespace]) => namespace)).toEqual(["a", "b"]);
    expect(message.kind).toBe(RequestKind.RequestHeaders);
  });

  test("enums keep their lower 32 bits, booleans any bit", () => {
    const message = decode(hex("5a06 088180808010 5080808080808001"));
    expect(message.requestBodyMode).toBe(1);
    expect(message.observabilityMode).toBe(true);
  });

  test("nothing is left of the message before", () => {
    const out = new ProcessingRequest();
    const full = encodeOracle(processingRequest, {
      requestHeaders: { headers: { headers: [{ key: "a", value: "b" }] }, endOfStream: true },
      observabilityMode: true,
      protocolConfig: {
        requestBodyMode: 4,
        responseBodyMode: 2,
        sendBodyWithoutWaitingForHeaderResponse: true,
      },
      metadataContext: { filterMetadata: { a: toOracleStruct({ b: 1 }) } },
    });
    const body = hex("22050a01411001");
    for (const bytes of [full, body]) {
      expect(decodeProcessingRequest(bytes, 0, bytes.length, out)).toBe(WireStatus.Ok);
      expect(decodeProcessingRequest(bytes, 0, 0, out)).toBe(WireStatus.Ok);
      expect(plainOf(out)).toEqual(plainOf(new ProcessingRequest()));
    }
  });
});

describe("differential", () => {
  test("what protobufjs encodes is read as protobufjs reads it", () => {
    fc.assert(
      fc.property(encodedRequest, (bytes) => {
        expect(plainOf(decode(bytes))).toEqual(oraclePlain(bytes));
      }),
      { numRuns: 300 },
    );
  });

  test("shuffled, split, and with unknown fields, it is read the same", () => {
    fc.assert(
      fc.property(encodedRequest, fc.integer(), (bytes, seed) => {
        const scrambled = scramble(processingRequest, bytes, new Dice(seed));
        const read = plainOf(decode(scrambled));
        expect(read).toEqual(oraclePlain(scrambled));
        expect(read).toEqual(oraclePlain(bytes));
      }),
      { numRuns: 300 },
    );
  });

  test("damaged bytes give a status or what protobufjs reads, and nothing outside them is looked at", () => {
    let bothRead = 0;
    let bothRefuse = 0;
    fc.assert(
      fc.property(encodedRequest, fc.integer(), fc.integer(), (bytes, scrambleSeed, damageSeed) => {
        const whole = scramble(processingRequest, bytes, new Dice(scrambleSeed));
        const damaged = damage(whole, new Dice(damageSeed));
        const out = new ProcessingRequest();
        const status = decodeProcessingRequest(damaged, 0, damaged.length, out);
        expect(Object.values(WireStatus)).toContain(status);

        // The same inside other bytes.
        const around = Buffer.concat([Buffer.alloc(3, 0x0a), damaged, Buffer.alloc(20, 0x7f)]);
        const inside = new ProcessingRequest();
        expect(decodeProcessingRequest(around, 3, 3 + damaged.length, inside)).toBe(status);

        let expected: Plain | null = null;
        try {
          expected = oraclePlain(damaged);
        } catch {
          bothRefuse += status === WireStatus.Ok ? 0 : 1;
        }
        if (status === WireStatus.Ok) {
          // Metadata is read later, so it may be bad in a message that is good.
          const metadata = decodeMetadata(out.bytes, out.metadataStart, out.metadataEnd);
          if (out.metadataStart >= 0 && typeof metadata === "number") {
            if (!hasLongVarint(damaged)) expect(expected).toBeNull();
            return;
          }
          expect(plainOf(inside)).toEqual(plainOf(out));
          if (expected !== null) {
            bothRead++;
            expect(plainOf(out)).toEqual(expected);
          }
        } else if (!hasLongVarint(damaged)) {
          expect(expected).toBeNull();
        }
      }),
      { numRuns: 2000 },
    );
    expect(bothRead).toBeGreaterThan(100);
    expect(bothRefuse).toBeGreaterThan(100);
  });

  /** protobufjs takes varints of more than ten bytes, and cuts lengths of more than 32 bits near the end of its input. */
  function hasLongVarint(bytes: Uint8Array): boolean {
    return /[\x80-\xff]{5}/.test(Buffer.from(bytes).toString("latin1"));
  }

  test("any bytes at all give a status", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(Object.values(WireStatus)).toContain(statusOf(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  test("every cut of a message is truncated, or ends between two fields", () => {
    const bytes = hex("121c0a1a0a180a053a706174681a0f2f76312f636f6d706c6574696f6e735a0408041004");
    for (let end = 0; end < bytes.length; end++) {
      const expected = end === 0 || end === 30 ? WireStatus.Ok : WireStatus.Truncated;
      expect(statusOf(bytes.subarray(0, end)), `${end} bytes`).toBe(expected);
    }
  });
});

describe("a message that comes in chunks", () => {
  const LIMIT = 1_000_000;

  /** Sends the message in chunks that end at the points. @returns what was decoded, and its status */
  function decodeCut(
    bytes: Uint8Array,
    points: readonly number[],
  ): { status: WireStatus; out: ProcessingRequest; wasCut: boolean } {
    const w = new Writer();
    writeGrpcFramePrefix(w, bytes.length);
    w.raw(bytes);
    const framed = Buffer.from(w.bytes.subarray(0, w.length));
    const frames = new GrpcFrameReader(LIMIT, findBodyRun);
    const out = new ProcessingRequest();
    let from = 0;
    for (const to of [...points.toSorted((a, b) => a - b), framed.length]) {
      frames.push(Buffer.from(framed.subarray(from, to)));
      from = to;
      if (!frames.next()) continue;
      expect(to).toBe(framed.length);
      const wasCut = frames.runLength > 0;
      const status = decodeFrame(frames, out);
      expect(frames.next()).toBe(false);
      expect(frames.pendingBytes).toBe(0);
      return { status, out, wasCut };
    }
    throw new Error("the message was not found");
  }

  /** Metadata is read later than the message, and may be damaged. */
  function describeMessage(message: ProcessingRequest): Plain | string {
    try {
      return plainOf(message);
    } catch (error) {
      return (error as Error).message;
    }
  }

  const body = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));
  const metadata = {
    filterMetadata: { ns: { fields: { key: { stringValue: "v".repeat(300) } } } },
  };

  test("keeps its body in pieces and says the same as in one chunk", () => {
    const bytes = encodeOracle(processingRequest, { responseBody: { body, endOfStream: true } });
    for (const points of [[100], [16_384], [6, 19_000], [5_000, 10_000, 15_000, 20_012]]) {
      const { out, wasCut } = decodeCut(bytes, points);
      expect(plainOf(out)).toEqual(oraclePlain(bytes));
      expect(wasCut, String(points)).toBe(points[0]! > 12);
    }
  });

  test("keeps the chunks' own memory for large pieces", () => {
    const bytes = encodeOracle(processingRequest, { requestBody: { body } });
    const { out } = decodeCut(bytes, [8_000]);
    expect(out.body.list.map((piece) => piece.length)).toEqual([8_000 - 5 - 8, 20_000 - 7_987]);
  });

  test("the body counts that comes last, though the first one was kept in pieces", () => {
    const first = encodeOracle(processingRequest, { requestBody: { body, endOfStream: true } });
    const inner = encodeOracle(processingRequest, { requestBody: { body: Buffer.from("last") } });
    const other = encodeOracle(processingRequest, { responseTrailers: {} });
    for (const tail of [inner, other]) {
      const bytes = Buffer.concat([first, tail]);
      expect(plainOf(decodeCut(bytes, [9_000]).out)).toEqual(oraclePlain(bytes));
    }
  });

  test("any message, cut anywhere and damaged or not, decodes as in one chunk", () => {
    const large = fc.record({
      member: fc.constantFrom("requestBody", "responseBody"),
      size: fc.integer({ min: 3_000, max: 30_000 }),
      endOfStream: fc.boolean(),
      withMetadata: fc.boolean(),
      observabilityMode: fc.boolean(),
    });
    fc.assert(
      fc.property(
        large,
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
        fc.boolean(),
        ({ member, size, endOfStream, withMetadata, observabilityMode }, points, hits, atHead) => {
          const bytes = Buffer.from(
            encodeOracle(processingRequest, {
              [member]: { body: Buffer.alloc(size, 7), endOfStream },
              ...(withMetadata ? { metadataContext: metadata } : {}),
              observabilityMode,
            }),
          );
          for (const [at, byte] of hits) bytes[at % (atHead ? 16 : bytes.length)] = byte;
          const whole = new ProcessingRequest();
          const expected = decodeProcessingRequest(bytes, 0, bytes.length, whole);
          const cut = decodeCut(
            bytes,
            points.map((point) => point % (bytes.length + 5)),
          );
          // Which of two faults is met first may differ; that there is one may not.
          expect(cut.status === WireStatus.Ok).toBe(expected === WireStatus.Ok);
          if (expected !== WireStatus.Ok) return;
          expect(describeMessage(cut.out)).toEqual(describeMessage(whole));
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe("cost", () => {
  test("a body is a view of the message, whatever its size", () => {
    const body = Buffer.alloc(100_000, "x");
    const bytes = encodeOracle(processingRequest, { requestBody: { body, endOfStream: true } });
    const message = decode(bytes);
    expect(message.body.joined().buffer).toBe(bytes.buffer);
    expect(message.body.byteLength).toBe(body.length);
  });

  test("100,000 headers are too many, and take no more rows than the limit", () => {
    const one = hex("0a06 0a0161 1a0162");
    const map = Buffer.concat(Array.from({ length: 100_000 }, () => one));
    const member = Buffer.concat([hex("0a 80ea30"), map]);
    const bytes = Buffer.concat([hex("12 84ea30"), member]);
    const out = new ProcessingRequest();
    expect(decodeProcessingRequest(bytes, 0, bytes.length, out)).toBe(WireStatus.TooManyHeaders);
    expect(out.headers.id.length).toBeLessThan(2048);
  });

  test("a length that lies takes no memory", () => {
    const allocate = vi.spyOn(Buffer, "allocUnsafeSlow");
    for (const lie of ["ffffffff07", "ffffffffff7f", "ffffffffffffffff7f"]) {
      for (const tag of ["12", "22", "32", "42", "5a", "7a", "120a0a", "22050a"]) {
        expect(statusOf(hex(`${tag}${lie}`))).toBe(WireStatus.Truncated);
      }
    }
    expect(allocate).not.toHaveBeenCalled();
    allocate.mockRestore();
  });

  test("metadata in very many pieces takes one copy of the message", () => {
    const allocate = vi.spyOn(Buffer, "allocUnsafeSlow");
    const bytes = Buffer.alloc(1_000_000);
    for (let at = 0; at < bytes.length; at += 2) bytes[at] = 0x42;
    const message = decode(bytes);
    expect([message.metadataStart, message.metadataEnd]).toEqual([0, 0]);
    expect(allocate.mock.calls).toEqual([[bytes.length]]);
    allocate.mockRestore();
  });

  test("a megabyte of the smallest fields is read in one pass", () => {
    for (const field of ["1200", "7a00", "7800", "2200", "9206 00"]) {
      const one = hex(field);
      const bytes = Buffer.concat(Array.from({ length: 1_000_000 / one.length }, () => one));
      expect(statusOf(bytes)).toBe(WireStatus.Ok);
    }
    expect(statusOf(Buffer.alloc(1_000_000, 0x7b))).toBe(WireStatus.TooDeep);
  });
});

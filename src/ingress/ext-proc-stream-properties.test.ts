/**
 * What holds for any exchange: it does not matter where bytes are cut, nothing that comes in throws, replies keep their
 * order, and whatever is held is given back however the exchange ends.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../test/support/ext-proc-messages.ts";
import { toHeaderMap, toMetadataContext } from "../../test/support/ext-proc-messages.ts";
import {
  CHAT,
  chatBody,
  type Exchange,
  frameOf,
  type IngressSetup,
  ingressSetup,
  Mode,
  NOTHING_HELD,
  post,
  requestFrame,
  subsetOf,
  watchedSetup,
} from "../../test/support/ingress-exchange.ts";
import { keepsOrder } from "../../test/support/reply-order.ts";
import {
  Dice,
  damage,
  filterMetadata,
  requestMember,
  requestOptions,
} from "../../test/support/wire-arbitraries.ts";
import { encodeOracle, processingRequest, toOracleStruct } from "../../test/support/wire-oracle.ts";

/** Everything that an exchange wrote. */
function written(exchange: Exchange): string {
  return Buffer.concat(exchange.stream.segments).toString("latin1");
}

/** An exchange of its own, fed with these bytes in pieces that end at the cuts. */
function play({ open }: IngressSetup, bytes: Buffer, cuts: readonly number[]): string {
  const exchange = open();
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    exchange.bytes(bytes.subarray(from, cut));
    from = cut;
  }
  exchange.cancel();
  expect(exchange.stream.lateCalls).toBe(0);
  return written(exchange);
}

const headers = (name: "requestHeaders" | "responseHeaders", endOfStream = false) => ({
  [name]: { headers: toHeaderMap(post(CHAT, [["x-prefiller-host-port", "evil"]])), endOfStream },
});

/** A whole exchange, as a gateway sends it. */
function story(body: Buffer, chunkBytes: number): Buffer {
  const chunks: ProcessingRequest[] = [];
  for (let at = 0; at < body.length; at += chunkBytes) {
    chunks.push({
      requestBody: { body: body.subarray(at, at + chunkBytes), endOfStream: false },
      metadataContext: toMetadataContext(subsetOf(["10.0.0.0:8000"])),
    });
  }
  const messages: ProcessingRequest[] = [
    { ...headers("requestHeaders"), protocolConfig: { requestBodyMode: 4, responseBodyMode: 4 } },
    ...chunks,
    { requestTrailers: { trailers: toHeaderMap([["a", "b"]]) } },
    headers("responseHeaders"),
    { responseBody: { body: Buffer.alloc(50, "d"), endOfStream: false } },
    { responseBody: { body: Buffer.alloc(0), endOfStream: true } },
  ];
  return Buffer.concat(messages.map(requestFrame));
}

describe("cuts do not show", () => {
  // One endpoint, so that every exchange is given the same one.
  const setup = ingressSetup({ endpoints: 1 });

  test("wherever one falls in the bytes of the wire, or everywhere", () => {
    const bytes = story(chatBody(), 40);
    const whole = play(setup, bytes, []);
    expect(whole.length).toBeGreaterThan(100);
    for (let cut = 1; cut < bytes.length; cut++) expect(play(setup, bytes, [cut])).toBe(whole);
    const everywhere = Array.from({ length: bytes.length - 1 }, (_, i) => i + 1);
    expect(play(setup, bytes, everywhere)).toBe(whole);
  });

  test("wherever some fall, in messages that are gathered and in such that stay in pieces", () => {
    const bytes = story(chatBody(70_000), 30_000);
    const whole = play(setup, bytes, []);
    const cuts = fc
      .uniqueArray(fc.nat(bytes.length), { maxLength: 12 })
      .map((all) => all.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(cuts, (at) => play(setup, bytes, at) === whole),
      { numRuns: 60 },
    );
  });

  test("wherever a body is cut into chunks", () => {
    const body = chatBody();
    const replies = (cut: number): string => {
      const exchange = setup.open().requestHeaders(post(CHAT)).requestBody(body.subarray(0, cut));
      exchange.requestBody(body.subarray(cut), true).cancel();
      return written(exchange);
    };
    const whole = replies(0);
    expect(whole).toContain(body.toString());
    for (let cut = 1; cut <= body.length; cut++) expect(replies(cut)).toBe(whole);
  });
});

/** Messages of a gateway, well-behaved or not. */
const anyStep: fc.Arbitrary<(exchange: Exchange) => void> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(CHAT, "/v1/files", "/v1/completions"),
      fc.constantFrom(...Object.values(Mode)),
      fc.constantFrom(...Object.values(Mode)),
      fc.boolean(),
      fc.boolean(),
    )
    .map(([path, request, response, end, isUpgrade]) => (e: Exchange) => {
      e.begin(post(path, isUpgrade ? [["upgrade", "websocket"]] : []), request, response, end);
    }),
  fc.boolean().map((end) => (e: Exchange) => {
    e.requestHeaders(post(CHAT), end);
  }),
  fc
    .tuple(
      fc.constantFrom(chatBody(), Buffer.alloc(0), Buffer.from("{"), Buffer.alloc(150_000, "u")),
      fc.boolean(),
      fc.option(fc.constantFrom<readonly string[]>(["10.0.0.1"], []), { freq: 8 }),
    )
    .map(([body, end, hint]) => (e: Exchange) => {
      e.requestBody(body, end, hint === null ? undefined : subsetOf(hint));
    }),
  fc.constant((e: Exchange) => e.requestTrailers()),
  fc.boolean().map((end) => (e: Exchange) => {
    e.responseHeaders([[":status", "200"]], end);
  }),
  fc.boolean().map((end) => (e: Exchange) => {
    e.responseBody("answer", end);
  }),
  fc.constant((e: Exchange) => e.responseTrailers()),
  fc.constant((e: Exchange) => e.bytes(Buffer.from([0, 0, 0, 0, 9, 1, 2]))),
);

describe("any sequence of messages", () => {
  for (const isHolding of [false, true]) {
    test(`keeps order and gives everything back, outcomes ${isHolding ? "late" : "at once"}`, () => {
      const { faults, held, open, port } = watchedSetup({
        isHolding,
        limits: { requestBodyBytesMax: 400_000, bodyBytesInFlightMax: 500_000 },
      });
      const steps = fc.array(anyStep, { maxLength: 10 });
      const settleAt = fc.nat(10);
      fc.assert(
        fc.property(steps, settleAt, fc.boolean(), (all, at, halfCloses) => {
          port.calls.length = 0;
          port.picks = 0;
          const exchange = open();
          for (const [i, step] of all.entries()) {
            if (i === at) port.settle();
            step(exchange);
          }
          if (halfCloses) exchange.halfClose();
          // A cancel at a random position is the end of a shorter sequence.
          exchange.cancel();
          port.settle();
          const ends = port.calls.filter((call) => call !== "first").length;
          expect(held()).toEqual(NOTHING_HELD);
          expect(ends).toBe(port.picks);
          expect(port.picks).toBeLessThanOrEqual(1);
          expect(exchange.stream.lateCalls).toBe(0);
          expect(exchange.shape(), exchange.shape().join(", ")).toSatisfy(keepsOrder);
        }),
        { numRuns: 400 },
      );
      expect(faults).toEqual([]);
    });
  }
});

describe("any bytes", () => {
  const setup = ingressSetup();
  const check = (bytes: Buffer, cuts: readonly number[]): void => {
    const exchange = setup.open();
    let from = 0;
    for (const cut of cuts.filter((at) => at < bytes.length).concat(bytes.length)) {
      exchange.bytes(bytes.subarray(from, cut));
      from = cut;
    }
    exchange.halfClose().cancel();
    expect(exchange.stream.lateCalls).toBe(0);
    expect(setup.held()).toEqual(NOTHING_HELD);
    expect(setup.faults).toEqual([]);
  };
  const cuts = fc.array(fc.nat(2000), { maxLength: 3 }).map((all) => all.toSorted((a, b) => a - b));

  test("are survived, and leave nothing behind", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), cuts, (bytes, at) => {
        check(Buffer.from(bytes), at);
      }),
      { numRuns: 300 },
    );
  });

  test("so are those of an exchange that was damaged", () => {
    const bytes = story(chatBody(), 40);
    fc.assert(
      fc.property(fc.integer(), cuts, (seed, at) => check(damage(bytes, new Dice(seed)), at)),
      { numRuns: 500 },
    );
  });

  test("so is any message that protobuf allows", () => {
    const message = fc
      .tuple(requestMember, requestOptions, fc.option(filterMetadata))
      .map(([member, options, namespaces]) => ({
        ...member,
        ...options,
        ...(namespaces === null
          ? {}
          : {
              metadataContext: {
                filterMetadata: Object.fromEntries(
                  Object.entries(namespaces).map(([name, struct]) => [
                    name,
                    toOracleStruct(struct),
                  ]),
                ),
              },
            }),
      }));
    const frames = fc
      .array(message, { maxLength: 4 })
      .map((all) =>
        Buffer.concat(all.map((each) => frameOf(encodeOracle(processingRequest, each)))),
      );
    fc.assert(
      fc.property(frames, cuts, (bytes, at) => check(bytes, at)),
      { numRuns: 200 },
    );
  });
});

/**
 * Header blocks of a client that is not ours: what node:http2 encodes is decoded to what it was told to send.
 * @module
 */
import { once } from "node:events";
import http2 from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Flag, FrameType, PREFACE, settingsFrame } from "../../src/ingress/h2/frames.ts";
import { HpackDecoder } from "../../src/ingress/h2/hpack.ts";
import { until } from "../support/deadline.ts";
import type { Field } from "../support/h2-hpack.ts";
import { FrameLog } from "../support/h2-peer.ts";
import { headOf, ReferenceDecoder } from "./reference-hpack-decoder.ts";

const WAIT_MS = 10_000;

let server: Server;
let log = new FrameLog();

beforeAll(async () => {
  server = createServer((socket) => {
    let left = PREFACE.length;
    socket.write(settingsFrame([]));
    socket.on("error", () => {}); // the client goes as soon as its headers are sent
    socket.on("data", (chunk: Buffer) => {
      const skipped = Math.min(left, chunk.length);
      left -= skipped;
      log.read(chunk.subarray(skipped));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(() => {
  server.close();
});

/** Whole header blocks in their order. */
function blocks(): Buffer[] {
  const whole: Buffer[] = [];
  let parts: Buffer[] = [];
  for (const { flags, payload, type } of log.frames) {
    if (type !== FrameType.Headers && type !== FrameType.Continuation) continue;
    // This client sends the priority that HEADERS may begin with.
    const hasPriority = type === FrameType.Headers && (flags & Flag.Priority) !== 0;
    parts.push(hasPriority ? payload.subarray(5) : payload);
    if ((flags & Flag.EndHeaders) === 0) continue;
    whole.push(Buffer.concat(parts));
    parts = [];
  }
  return whole;
}

/** Sends requests on one connection. @returns their header blocks */
async function encode(lists: readonly (readonly Field[])[]): Promise<Buffer[]> {
  log = new FrameLog();
  const { port } = server.address() as AddressInfo;
  const session = http2.connect(`http://127.0.0.1:${port}`, { maxSendHeaderBlockLength: 1 << 20 });
  session.on("error", () => {});
  try {
    for (const fields of lists) {
      const stream = session.request(Object.fromEntries(fields), { endStream: true });
      stream.on("error", () => {});
    }
    return await until(
      () => (blocks().length === lists.length ? blocks() : null),
      WAIT_MS,
      "all header blocks",
      1,
    );
  } finally {
    session.destroy();
  }
}

const name = fc.constantFrom("user-agent", "x-a", "x-b", "x-request-id", "grpc-timeout", "accept");
const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("1", "v", "*/*", "10S", "~{|}", "%20\\^") },
  { weight: 3, arbitrary: fc.stringMatching(/^[!-~]([ -~]{0,60}[!-~])?$/) },
  { weight: 1, arbitrary: fc.integer({ min: 100, max: 20_000 }).map((n) => "w".repeat(n)) },
);
const request = fc
  .tuple(
    fc.constantFrom("/a.B/C", "/x.Y/Process", "/"),
    fc.uniqueArray(fc.tuple(name, value), { maxLength: 6, selector: ([each]) => each }),
  )
  .map(([path, others]): Field[] => [
    [":method", "POST"],
    [":path", path],
    [":scheme", "http"],
    [":authority", "picker.test:9002"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...others,
  ]);

test("what node:http2 encodes is decoded to what was sent", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 10 }), async (lists) => {
      const encoded = await encode(lists);
      const decoder = new HpackDecoder();
      const reference = new ReferenceDecoder();
      for (const [i, block] of encoded.entries()) {
        const head = decoder.decode(block, 0, block.length);
        expect(reference.decode(block)).toEqual(lists[i]);
        // Plain, since the decoder's heads are of a class; a list above the limit is a symbol.
        expect(typeof head === "symbol" ? head : { ...head }).toEqual(headOf(lists[i]!));
      }
    }),
    { numRuns: 40 },
  );
});

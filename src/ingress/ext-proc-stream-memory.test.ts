/**
 * An exchange may last for hours, and there are thousands: what it keeps between messages is small.
 */
import { expect, test } from "vitest";
import { toHeaderMap, toMetadataContext } from "../../test/support/ext-proc-messages.ts";
import {
  CHAT,
  chatBody,
  type IngressSetupOptions,
  ingressSetup,
  post,
  requestFrame,
  subsetOf,
} from "../../test/support/ingress-exchange.ts";
import { heldBytes } from "../../test/support/ingress-heap.ts";
import { ExtProcStream } from "./ext-proc-stream.ts";
import type { GrpcStream } from "./transport.ts";

const STREAMS = 300;
/** Size of the chunks of a socket. */
const CHUNK_BYTES = 64 * 1024;
const NOWHERE: GrpcStream = { encoding: "identity", write() {}, end() {}, fail() {} };

/** The beginning of an exchange that has much to forget: long headers, a hint of 500 entries, a prompt of 60 kB. */
const BEGINNING = Buffer.concat([
  requestFrame({
    requestHeaders: {
      headers: toHeaderMap(
        post(`${CHAT}?${"q".repeat(30_000)}`, [
          ["x-slo-ttft-ms", "5"],
          ["x-prefiller-host-port", "evil"],
          ["x-llm-d-model-name-rewrite", "m2"],
          ["x-gateway-inference-objective", "o".repeat(8000)],
        ]),
      ),
      endOfStream: false,
    },
    metadataContext: toMetadataContext(
      subsetOf(Array.from({ length: 500 }, (_, i) => `10.0.0.${i % 2}:${8000 + (i >> 1)}`)),
    ),
  }),
  requestFrame({ requestBody: { body: chatBody(60_000), endOfStream: true } }),
]);

function heldAfter(bytes: Buffer, options: IngressSetupOptions = {}): number {
  const { context } = ingressSetup(options);
  return heldBytes(
    STREAMS,
    () => {
      const stream = new ExtProcStream(NOWHERE, context);
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
        // Each chunk has memory of its own, as off a socket.
        stream.data(Uint8Array.prototype.slice.call(bytes, at, at + CHUNK_BYTES));
      }
      return stream;
    },
    (stream) => stream.closed(),
  );
}

test("nothing but itself before the first byte has come", () => {
  expect(heldAfter(Buffer.alloc(0))).toBeLessThan(1536);
});

test("its flight, and the block hashes in it, once the pick is answered", () => {
  // 15,000 tokens are 235 blocks of 8 bytes; the flight and its request are some 500 bytes.
  expect(heldAfter(BEGINNING)).toBeLessThan(6 * 1024);
});

test("none of the chunks of the answer", () => {
  const answer = requestFrame({
    responseBody: { body: Buffer.alloc(1000, "d"), endOfStream: false },
  });
  const chunks = Buffer.concat(Array.from({ length: 70 }, () => answer));
  expect(heldAfter(Buffer.concat([BEGINNING, chunks]))).toBeLessThan(6 * 1024);
});

test("nothing of what came behind a refusal, although the stream is still open", () => {
  const half = requestFrame({ requestBody: { body: Buffer.alloc(90_000), endOfStream: false } });
  const bytes = Buffer.concat([BEGINNING, half.subarray(0, 20_000)]);
  expect(heldAfter(bytes, { endpoints: 0 })).toBeLessThan(2048);
});

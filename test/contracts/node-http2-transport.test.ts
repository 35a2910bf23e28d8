/**
 * What node:http2 alone makes necessary, and TLS; the rest is in test/contracts/transport.test.ts.
 * @module
 */
import { once } from "node:events";
import http2 from "node:http2";
import { afterEach, describe, expect, test } from "vitest";
import { createSelfSignedPair } from "../../src/ingress/self-signed.ts";
import { until } from "../support/deadline.ts";
import { MemoryHandler } from "../support/h2-memory.ts";
import {
  NodeHttp2Transport,
  type NodeHttp2TransportOptions,
  nodeHttp2Limits,
} from "../support/node-http2-transport.ts";

const HOST = "127.0.0.1";
const WAIT_MS = 5000;
const NOW_MS = Date.UTC(2030, 0, 1);
const REQUEST = { ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc" };
const HAS_RESET_OPTIONS = Number.parseInt(process.versions.node, 10) >= 24;

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options: Partial<NodeHttp2TransportOptions> = {}) {
  const handlers: MemoryHandler[] = [];
  const transport = new NodeHttp2Transport({
    accept: (path, stream) => {
      const handler = new MemoryHandler(path, stream);
      handler.onData = () => stream.write([Buffer.from("answer")], 6);
      handler.onHalfClose = () => stream.end();
      handlers.push(handler);
      return handler;
    },
    ...options,
  });
  const port = await transport.listen(0, HOST);
  cleanUps.push(() => transport.drain(0));
  return { transport, handlers, port };
}

function connect(url: string, options: http2.SecureClientSessionOptions = {}) {
  const session = http2.connect(url, { rejectUnauthorized: false, ...options });
  session.on("error", () => {}); // awaited where it matters
  cleanUps.push(() => session.destroy());
  return session;
}

function waitFor(condition: () => boolean, what: string): Promise<true> {
  return until(() => condition() || null, WAIT_MS, what, 1);
}

/** One exchange that ends as a gateway ends it. */
async function exchange(session: http2.ClientHttp2Session): Promise<void> {
  const stream = session.request(REQUEST);
  stream.on("error", () => {});
  stream.write("x");
  await once(stream, "data");
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await once(stream, "close");
}

describe("the guard against resets", () => {
  test("is never met: before its bucket is empty the connection is closed, and its streams go on", async () => {
    const { transport, handlers, port } = await start();
    const session = connect(`http://${HOST}:${port}`);
    let isGoing = false;
    session.on("goaway", (code) => {
      expect(code).toBe(http2.constants.NGHTTP2_NO_ERROR);
      isGoing = true;
    });
    const long = session.request(REQUEST);
    long.setEncoding("utf8");
    long.write("x");
    await once(long, "data");
    let exchanges = 0;
    for (; exchanges < nodeHttp2Limits.resetBucket && !isGoing; exchanges++)
      await exchange(session);
    if (HAS_RESET_OPTIONS) {
      expect([transport.stats.rotations, isGoing]).toEqual([0, false]);
    } else {
      expect([transport.stats.rotations, isGoing]).toEqual([1, true]);
      const { resetBucket, resetReserve } = nodeHttp2Limits;
      expect(exchanges).toBeGreaterThanOrEqual(resetBucket - resetReserve - 1);
    }
    long.end("y");
    let text = "";
    for await (const chunk of long) text += chunk;
    expect(text).toBe("answer");
    expect(transport.stats.sessionErrors).toBe(0);
    await waitFor(() => handlers.every(({ closes }) => closes === 1), "ends of all streams");
    expect(transport.stats.streams).toBe(0);
  });
});

describe("TLS", () => {
  test("keeps its least version when the pair is replaced", async () => {
    const pairs = [createSelfSignedPair(NOW_MS), createSelfSignedPair(NOW_MS)] as const;
    const { transport, port } = await start({ tls: { ...pairs[0], minVersion: "TLSv1.3" } });
    const url = `https://${HOST}:${port}`;
    transport.setKeyPair(pairs[1].cert, pairs[1].key);
    const [error] = await once(connect(url, { maxVersion: "TLSv1.2" }), "error");
    expect((error as Error).message).toMatch(/version/);
    await exchange(connect(url));
    await waitFor(() => transport.stats.sessionErrors === 1, "the count of the failed handshake");
  });
});

test("draining a second time does not cut short what the first waits for", async () => {
  const { transport, handlers, port } = await start();
  const session = connect(`http://${HOST}:${port}`);
  const stream = session.request(REQUEST);
  await waitFor(() => handlers.length === 1, "an open stream");
  const drains = Promise.all([transport.drain(60_000), transport.drain(60_000)]);
  await once(session, "goaway");
  stream.end("x");
  let text = "";
  for await (const chunk of stream.setEncoding("utf8")) text += chunk;
  expect(text).toBe("answer");
  await drains;
});

test("what is no gRPC is answered by HTTP", async () => {
  const { port } = await start();
  const session = connect(`http://${HOST}:${port}`);
  const statusOf = async (headers: http2.OutgoingHttpHeaders): Promise<unknown> => {
    const stream = session.request({ ...REQUEST, ...headers }, { endStream: true });
    const [answer] = await once(stream, "response");
    return answer[":status"];
  };
  expect(await statusOf({ "content-type": "application/grpc-web" })).toBe(415);
  expect(await statusOf({ ":method": "GET" })).toBe(405);
  expect(await statusOf({ "content-type": "application/grpc+proto" })).toBe(200);
});

test("an error message may be made of anything", async () => {
  const { handlers, port } = await start();
  const stream = connect(`http://${HOST}:${port}`).request(REQUEST);
  await waitFor(() => handlers.length === 1, "an open stream");
  handlers[0]!.stream.fail(3, "half a pair \ud83d".padEnd(100_000, "\u20ac"));
  const [headers] = await once(stream, "response");
  expect(decodeURIComponent(headers["grpc-message"])).toMatch(/^half a pair \ufffd\u20ac+$/);
});

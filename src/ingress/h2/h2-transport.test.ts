/**
 * The listening server: TLS, key pairs, how many may come, and the ways in which it ends.
 * @module
 */
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { afterEach, describe, expect, test, vi } from "vitest";
import { until } from "../../../test/support/deadline.ts";
import { headers } from "../../../test/support/h2-frames.ts";
import { MemoryHandler } from "../../../test/support/h2-memory.ts";
import { H2Peer } from "../../../test/support/h2-peer.ts";
import { createSelfSignedPair } from "../self-signed.ts";
import type { AcceptStream } from "../transport.ts";
import { FrameType, Setting, settingsFrame } from "./frames.ts";
import { H2Transport, type H2TransportOptions } from "./h2-transport.ts";
import { h2Limits } from "./limits.ts";

const HOST = "127.0.0.1";
const WAIT_MS = 5000;
const NOW_MS = Date.UTC(2030, 0, 1);
const REQUEST = { ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc" };
/** Two pairs, so that tests can tell old from new. */
const first = createSelfSignedPair(NOW_MS);
const second = createSelfSignedPair(NOW_MS);

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  vi.restoreAllMocks();
});

async function start(options: Partial<H2TransportOptions> = {}) {
  const handlers: MemoryHandler[] = [];
  const accept: AcceptStream = (path, stream) => {
    const handler = new MemoryHandler(path, stream);
    handler.onHalfClose = () => {
      stream.write([Buffer.from("answer")], 6);
      stream.end();
    };
    handlers.push(handler);
    return handler;
  };
  const errors: string[] = [];
  const transport = new H2Transport({
    accept,
    onConnectionError: ({ message }) => errors.push(message),
    ...options,
  });
  const port = await transport.listen(0, HOST);
  cleanUps.push(() => transport.drain(0));
  return { transport, handlers, errors, port };
}

async function connectPeer(port: number): Promise<H2Peer> {
  const peer = await H2Peer.connect(port);
  cleanUps.push(() => peer.close());
  return peer;
}

function waitFor(condition: () => boolean, what: string): Promise<true> {
  return until(() => condition() || null, WAIT_MS, what, 1);
}

/** Server that the next transport will listen on. */
function captureServer(): { readonly server: net.Server } {
  const create = vi.spyOn(net, "createServer");
  return {
    get server() {
      return create.mock.results[0]!.value as net.Server;
    },
  };
}

describe("TLS", () => {
  /** One exchange over TLS. @returns the certificate that was shown, and the answer */
  async function exchange(port: number, options: tls.ConnectionOptions = {}) {
    const session = http2.connect(`https://${HOST}:${port}`, {
      rejectUnauthorized: false,
      ...options,
    });
    cleanUps.push(() => session.destroy());
    const failed = once(session, "error").then(([error]) => {
      throw error;
    });
    const stream = session.request(REQUEST, { endStream: true });
    stream.on("error", () => {}); // that of the session says more
    const body = (async () => {
      let text = "";
      for await (const chunk of stream.setEncoding("utf8")) text += chunk;
      return text;
    })();
    const text = await Promise.race([body, failed]);
    const socket = session.socket as tls.TLSSocket;
    const { raw } = socket.getPeerCertificate();
    return { text, protocol: socket.alpnProtocol, certificate: raw.toString("base64") };
  }

  const certificateOf = ({ cert }: { cert: string | Buffer }): string =>
    cert.toString().replace(/-----[^-]+-----|\s/g, "");

  test("serves HTTP/2, chosen by ALPN", async () => {
    const { port } = await start({ tls: first });
    expect(await exchange(port)).toEqual({
      text: "answer",
      protocol: "h2",
      certificate: certificateOf(first),
    });
  });

  test("refuses who speaks something else, and counts it", async () => {
    const { port, transport } = await start({ tls: first });
    const socket = tls.connect({
      host: HOST,
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ["http/1.1"],
    });
    cleanUps.push(() => {
      socket.destroy();
    });
    const [error] = await once(socket, "error");
    expect((error as Error).message).toMatch(/no application protocol/i);
    const plain = await connectPeer(port);
    await waitFor(() => plain.isClosed, "end of a connection without TLS");
    expect(transport.stats).toMatchObject({ connections: 0, sessionErrors: 2 });
    expect((await exchange(port)).text).toBe("answer");
  });

  test("shows a new pair to new connections, while old ones go on", async () => {
    const { port, transport, handlers } = await start({ tls: first });
    const session = http2.connect(`https://${HOST}:${port}`, { rejectUnauthorized: false });
    cleanUps.push(() => session.destroy());
    const old = session.request(REQUEST);
    await waitFor(() => handlers.length === 1, "a stream of the old connection");
    transport.setKeyPair(second.cert, second.key);
    expect(await exchange(port)).toMatchObject({
      text: "answer",
      certificate: certificateOf(second),
    });
    old.end();
    let text = "";
    for await (const chunk of old.setEncoding("utf8")) text += chunk;
    expect(text).toBe("answer");
  });

  test("keeps its pair when the new one does not fit together", async () => {
    const { port, transport } = await start({ tls: first });
    expect(() => transport.setKeyPair(first.cert, second.key)).toThrow(/key values mismatch/);
    expect((await exchange(port)).certificate).toBe(certificateOf(first));
  });

  test("keeps its versions and ciphers when the pair is replaced", async () => {
    const { port, transport } = await start({ tls: { ...first, minVersion: "TLSv1.3" } });
    await expect(exchange(port, { maxVersion: "TLSv1.2" })).rejects.toThrow(/version/);
    transport.setKeyPair(second.cert, second.key);
    await expect(exchange(port, { maxVersion: "TLSv1.2" })).rejects.toThrow(/version/);
    expect((await exchange(port)).certificate).toBe(certificateOf(second));
  });

  test("is not there without a pair, and a new pair changes nothing then", async () => {
    const { port, transport } = await start();
    transport.setKeyPair(first.cert, first.key);
    const peer = await connectPeer(port);
    await peer.roundTrip();
  });
});

describe("listening", () => {
  test("on a port in use is told to the caller", async () => {
    const { port } = await start();
    const other = new H2Transport({ accept: () => null });
    await expect(other.listen(port, HOST)).rejects.toThrow("EADDRINUSE");
  });

  test("survives that connections can not be accepted, and says so", async () => {
    const captured = captureServer();
    const { errors, port } = await start();
    captured.server.emit("error", new Error("accept EMFILE"));
    expect(errors).toEqual(["accept EMFILE"]);
    const peer = await connectPeer(port);
    await peer.roundTrip();
  });

  test("takes so many connections, and one more when one has gone", async () => {
    const { port, transport } = await start();
    const sockets = Array.from({ length: h2Limits.connectionsMax }, () => net.connect(port, HOST));
    cleanUps.push(() => {
      for (const socket of sockets) socket.destroy();
    });
    await waitFor(() => transport.stats.connections === h2Limits.connectionsMax, "all connections");
    const refused = await connectPeer(port);
    await waitFor(() => refused.isClosed, "end of the connection that is too many");
    expect(refused.frames).toEqual([]);
    sockets[0]!.destroy();
    await waitFor(() => transport.stats.connections < h2Limits.connectionsMax, "room");
    const next = await connectPeer(port);
    await next.roundTrip();
  });
});

describe("draining", () => {
  test("refuses new connections, and is over at once without any", async () => {
    const { port, transport } = await start();
    await transport.drain(60_000);
    await expect(connectPeer(port)).rejects.toThrow("ECONNREFUSED");
    await transport.drain(60_000);
  });

  test("before listening is over at once", async () => {
    await new H2Transport({ accept: () => null }).drain(60_000);
  });

  test("a second time does not cut short what the first waits for", async () => {
    const { port, transport, handlers } = await start();
    const session = http2.connect(`http://${HOST}:${port}`);
    cleanUps.push(() => session.destroy());
    const stream = session.request(REQUEST);
    await waitFor(() => handlers.length === 1, "an open stream");
    const drains = Promise.all([transport.drain(60_000), transport.drain(60_000)]);
    await once(session, "goaway");
    stream.end();
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk;
    expect(text).toBe("answer");
    await drains;
    await waitFor(() => transport.stats.connections === 0, "the end of the connection");
  });

  test("ends at its deadline, and whoever comes after it is sent away", async () => {
    const captured = captureServer();
    const { port, transport, handlers } = await start();
    const session = http2.connect(`http://${HOST}:${port}`);
    session.on("error", () => {}); // its end is what is tested
    cleanUps.push(() => session.destroy());
    session.request(REQUEST).on("error", () => {});
    await waitFor(() => handlers.length === 1, "an open stream");
    await transport.drain(0);
    await waitFor(() => handlers[0]!.closes === 1, "the end of the stream");
    // A connection whose handshake was under way comes late.
    const late = new net.Socket();
    captured.server.emit("connection", late);
    expect(late.destroyed).toBe(true);
    await waitFor(() => transport.stats.connections === 0, "the end of the connection");
  });

  test("at its deadline lets owners say a last word, and the peer reads it", async () => {
    const { port, transport, handlers } = await start();
    const session = http2.connect(`http://${HOST}:${port}`);
    session.on("error", () => {});
    cleanUps.push(() => session.destroy());
    const stream = session.request(REQUEST);
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    await waitFor(() => handlers.length === 1, "an open stream");
    const [handler] = handlers;
    handler!.onExpire = () => {
      handler!.stream.write([Buffer.from("too late")], 8);
      handler!.stream.end();
    };
    const ended = new Promise((resolve) => stream.on("close", resolve));
    await transport.drain(0);
    await ended;
    expect(text).toBe("too late");
  });

  test("tells connections that come while it goes on", async () => {
    const captured = captureServer();
    const { port, transport, handlers } = await start();
    const session = http2.connect(`http://${HOST}:${port}`);
    cleanUps.push(() => session.destroy());
    const stream = session.request(REQUEST);
    await waitFor(() => handlers.length === 1, "an open stream");
    const drained = transport.drain(60_000);
    const relay = net.createServer((socket) => captured.server.emit("connection", socket));
    cleanUps.push(() => {
      relay.close();
    });
    await once(relay.listen(0, HOST), "listening");
    const peer = await connectPeer((relay.address() as net.AddressInfo).port);
    await peer.frame(FrameType.Goaway);
    peer.close();
    stream.end();
    stream.resume();
    await drained;
  });
});

describe("bounds over all connections", () => {
  test("connections beyond the limit are closed and counted", async () => {
    const captured = captureServer();
    const { port, transport } = await start();
    expect(captured.server.maxConnections).toBe(h2Limits.connectionsMax);
    captured.server.maxConnections = 1;
    await connectPeer(port);
    const second = net.connect(port, HOST);
    cleanUps.push(() => {
      second.destroy();
    });
    second.on("error", () => {});
    await once(second, "close");
    expect(transport.stats.exceeded.connections).toBe(1);
    expect(transport.stats.connections).toBe(1);
  });

  test("of those with bytes that wait, the one with the most is closed", async () => {
    const { port, transport, handlers } = await start();
    const peers = [await connectPeer(port), await connectPeer(port)];
    for (const [i, peer] of peers.entries()) {
      peer.send(settingsFrame([[Setting.InitialWindowSize, 0]]), headers(1));
      await waitFor(() => handlers.length === i + 1, "an open stream");
    }
    const piece = Buffer.alloc(1 << 20);
    const fill = (index: number, bytes: number): void => {
      for (let at = 0; at < bytes; at += piece.length) {
        handlers[index]!.stream.write([piece], piece.length);
      }
    };
    fill(0, h2Limits.unsentBytesMax / 2 + piece.length);
    expect(transport.stats.exceeded["unsent-bytes"]).toBe(0);
    fill(1, h2Limits.unsentBytesMax / 2);
    await waitFor(() => handlers[0]!.closes === 1, "the end of the greedy one");
    expect(handlers[1]!.closes).toBe(0);
    expect(transport.stats.exceeded["unsent-bytes"]).toBe(1);
    expect(transport.stats.unsentBytes).toBe(h2Limits.unsentBytesMax / 2);
  });

  test("sweeps reach every connection", async () => {
    const { port, transport } = await start();
    const silent = net.connect(port, HOST);
    silent.on("error", () => {});
    cleanUps.push(() => {
      silent.destroy();
    });
    await waitFor(() => transport.stats.connections === 1, "a connection");
    for (let at = 0; at <= h2Limits.handshakeMs; at += h2Limits.sweepMs) transport.sweep();
    silent.resume();
    await once(silent, "end");
    expect(transport.stats.exceeded.handshake).toBe(1);
  });
});

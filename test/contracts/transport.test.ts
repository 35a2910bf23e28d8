/**
 * What every ExtProcTransport must do, played by a raw HTTP/2 client over loopback.
 * @module
 */
import { once } from "node:events";
import http2 from "node:http2";
import { afterEach, describe, expect, test } from "vitest";
import { H2Transport } from "../../src/ingress/h2/h2-transport.ts";
import {
  type AcceptStream,
  type ExtProcTransport,
  GrpcStatus,
  type GrpcStream,
  type GrpcStreamHandler,
} from "../../src/ingress/transport.ts";
import { NodeHttp2Transport } from "../support/node-http2-transport.ts";

const transports: Record<string, (accept: AcceptStream) => ExtProcTransport> = {
  "node:http2": (accept) => new NodeHttp2Transport({ accept }),
  "own HTTP/2": (accept) => new H2Transport({ accept }),
};

/** Handler that records what happens and leaves the answers to the test. */
class Recorder implements GrpcStreamHandler {
  readonly stream: GrpcStream;
  readonly chunks: Buffer[] = [];
  halfCloses = 0;
  closes = 0;
  readonly #onData: (recorder: Recorder) => void;
  readonly whenClosed: Promise<void>;
  #resolveClosed: () => void = () => {};

  constructor(stream: GrpcStream, onData: (recorder: Recorder) => void) {
    this.stream = stream;
    this.#onData = onData;
    this.whenClosed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(Buffer.from(chunk));
    this.#onData(this);
  }

  halfClose(): void {
    this.halfCloses++;
  }

  closed(): void {
    this.closes++;
    this.#resolveClosed();
  }
}

const REQUEST = { ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc" };

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

for (const [name, create] of Object.entries(transports)) {
  async function start(onData: (recorder: Recorder) => void) {
    const handlers: Recorder[] = [];
    const transport = create((path, stream) => {
      if (path !== "/a.B/C") return null;
      const handler = new Recorder(stream, onData);
      handlers.push(handler);
      return handler;
    });
    const port = await transport.listen(0, "127.0.0.1");
    cleanups.push(() => transport.drain(0));
    return { transport, handlers, url: `http://127.0.0.1:${port}` };
  }

  function connect(url: string): http2.ClientHttp2Session {
    const session = http2.connect(url);
    session.on("error", () => {}); // a closed connection is what some tests provoke
    cleanups.push(() => session.destroy());
    return session;
  }

  describe(name, () => {
    test("hands bytes over in order and sends frames back", async () => {
      const { handlers, url } = await start((recorder) => {
        if (recorder.received.length === 6) {
          recorder.stream.write([Buffer.from("abc"), Buffer.from("def")], 6);
          recorder.stream.end();
        }
      });
      const stream = connect(url).request(REQUEST);
      stream.write("123");
      stream.end("456");
      let trailers: http2.IncomingHttpHeaders = {};
      stream.on("trailers", (headers) => {
        trailers = headers;
      });
      stream.setEncoding("utf8");
      let text = "";
      for await (const chunk of stream) text += chunk;
      expect(text).toBe("abcdef");
      expect(trailers["grpc-status"]).toBe("0");
      await handlers[0]!.whenClosed;
      expect(handlers[0]!.received.toString()).toBe("123456");
      expect(handlers[0]!.halfCloses).toBe(1);
      expect(handlers[0]!.closes).toBe(1);
    });

    test("sends response headers with the first write, not before", async () => {
      const { handlers, url } = await start(() => {});
      const session = connect(url);
      await once(session, "connect");
      const stream = session.request(REQUEST);
      let responded = false;
      stream.on("response", () => {
        responded = true;
      });
      stream.write("x");
      // A ping makes a full round trip after the request: headers sent at stream open would have overtaken it.
      await new Promise<void>((resolve, reject) =>
        session.ping((error) => (error ? reject(error) : resolve())),
      );
      expect(responded).toBe(false);
      handlers[0]!.stream.write([Buffer.from("y")], 1);
      await once(stream, "response");
      stream.close(http2.constants.NGHTTP2_CANCEL);
      await handlers[0]!.whenClosed;
    });

    test("refuses unknown methods with UNIMPLEMENTED and other content types with 415", async () => {
      const { url } = await start(() => {});
      const session = connect(url);
      const unknown = session.request({ ...REQUEST, ":path": "/no/such" }, { endStream: true });
      const [headers] = await once(unknown, "response");
      expect(headers["grpc-status"]).toBe(String(GrpcStatus.Unimplemented));
      const plain = session.request({ ":method": "POST", ":path": "/a.B/C" }, { endStream: true });
      const [plainHeaders] = await once(plain, "response");
      expect(plainHeaders[":status"]).toBe(415);
    });

    test("fails a stream with status and message, before and after the first write", async () => {
      let calls = 0;
      const { url } = await start((recorder) => {
        if (calls++ === 1) recorder.stream.write([Buffer.from("z")], 1);
        recorder.stream.fail(GrpcStatus.InvalidArgument, "bad \u00e9");
        recorder.stream.write([Buffer.from("never")], 5);
      });
      const session = connect(url);
      const early = session.request(REQUEST);
      early.write("x");
      const [headers] = await once(early, "response");
      expect(headers["grpc-status"]).toBe("3");
      expect(decodeURIComponent(String(headers["grpc-message"]))).toBe("bad \u00e9");
      const late = session.request(REQUEST);
      late.write("x");
      const [trailers] = await Promise.all([
        once(late, "trailers").then(([value]) => value),
        (async () => {
          let text = "";
          late.setEncoding("utf8");
          for await (const chunk of late) text += chunk;
          expect(text).toBe("z");
        })(),
      ]);
      expect(trailers["grpc-status"]).toBe("3");
    });

    test("tells the owner of a reset exactly once, and of a lost connection", async () => {
      const { handlers, url, transport } = await start(() => {});
      const session = connect(url);
      const first = session.request(REQUEST);
      first.on("error", () => {});
      first.write("x");
      const second = session.request(REQUEST);
      second.on("error", () => {});
      second.write("x");
      await waitUntil(() => handlers.length === 2 && handlers[1]!.chunks.length > 0);
      first.close(http2.constants.NGHTTP2_CANCEL);
      await handlers[0]!.whenClosed;
      session.destroy();
      await handlers[1]!.whenClosed;
      expect(handlers.map((handler) => handler.closes)).toEqual([1, 1]);
      expect(transport.stats.streams).toBe(0);
    });

    test("loses no exchange although each of 2,500 ends with a reset", async () => {
      const { url, transport } = await start((recorder) =>
        recorder.stream.write([Buffer.from("ok")], 2),
      );
      let session = connect(url);
      let lost = 0;
      for (let done = 0; done < 2500; done++) {
        // A gateway opens a new connection as soon as the old one is going away.
        if (session.closed || session.destroyed) session = connect(url);
        if (!(await exchange(session))) lost++;
      }
      expect(lost).toBe(0);
      await waitUntil(() => transport.stats.streams === 0);
    });

    test("carries a body of many windows without stalling", async () => {
      const size = 6 * 1024 * 1024;
      let received = 0;
      const { url } = await start((recorder) => {
        const chunk = recorder.chunks.pop()!;
        received += chunk.length;
        recorder.stream.write([chunk], chunk.length);
        if (received === size) recorder.stream.end();
      });
      const stream = connect(url).request(REQUEST);
      stream.end(Buffer.alloc(size, 7));
      let back = 0;
      for await (const chunk of stream) back += chunk.length;
      expect(back).toBe(size);
    });

    test("drains: refuses nothing that is open, resolves when the last stream ends", async () => {
      const { handlers, url, transport } = await start((recorder) => {
        if (recorder.received.toString().endsWith("!")) {
          recorder.stream.write([Buffer.from("bye")], 3);
          recorder.stream.end();
        }
      });
      const stream = connect(url).request(REQUEST);
      stream.write("hello");
      await waitUntil(() => handlers.length === 1 && handlers[0]!.chunks.length > 0);
      const drained = transport.drain(60_000);
      stream.end("!");
      let text = "";
      stream.setEncoding("utf8");
      for await (const chunk of stream) text += chunk;
      expect(text).toBe("bye");
      await drained;
      await waitUntil(() => transport.stats.connections === 0);
    });

    test("drains within its deadline when a stream does not end", async () => {
      const { handlers, url, transport } = await start(() => {});
      const stream = connect(url).request(REQUEST);
      stream.on("error", () => {});
      stream.write("hello");
      await waitUntil(() => handlers.length === 1);
      await transport.drain(1);
      await handlers[0]!.whenClosed;
      expect(handlers[0]!.closes).toBe(1);
    });
  });
}

/** One exchange that ends as Envoy ends it. */
function exchange(session: http2.ClientHttp2Session): Promise<boolean> {
  return new Promise((resolve) => {
    const stream = session.request(REQUEST);
    let answered = false;
    stream.on("data", () => {
      answered = true;
      stream.close(http2.constants.NGHTTP2_CANCEL);
    });
    stream.on("error", () => {});
    stream.on("close", () => resolve(answered));
    stream.write("x");
  });
}

async function waitUntil(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("condition not met within 10 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

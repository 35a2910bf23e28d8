/**
 * The HTTP client against servers that answer well, badly, too much, or not at all.
 * @module
 */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { until, within } from "../test/support/deadline.ts";
import { answerOf, onRequest, type RawServer, startRawServer } from "../test/support/raw-server.ts";
import { connectionSettings, MetricsConnection } from "./connection.ts";
import type { FailureReason, ScrapeTls } from "./messages.ts";
import { PAGE_BYTES_MAX, PageBuffers } from "./page-buffer.ts";

const DEADLINE_MS = 5000;

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Result {
  readonly failure: FailureReason | null;
  readonly page: string;
  readonly status: number;
}

class TestClient {
  readonly buffers = new PageBuffers();
  readonly connection: MetricsConnection;
  results = 0;

  constructor(
    port: number,
    scheme: "http" | "https" = "http",
    tls: ScrapeTls = {},
    host = "127.0.0.1",
  ) {
    const settings = connectionSettings(scheme, tls);
    this.connection = new MetricsConnection(host, port, settings, this.buffers);
    closers.push(() => this.connection.close());
  }

  get(path = "/metrics"): Promise<Result> {
    const result = new Promise<Result>((resolve) => {
      this.connection.get(path, (failure, page, status) => {
        this.results++;
        resolve({ failure, page: failure === null ? page.toString() : "", status });
      });
    });
    return within(result, DEADLINE_MS, "result of a fetch");
  }
}

async function serve(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const server = await startRawServer(onConnection);
  closers.push(() => server.close());
  return server;
}

/** A server that answers every request with these bytes. */
function serveBytes(...writes: readonly (string | Buffer)[]): Promise<RawServer> {
  return serve((socket) =>
    onRequest(socket, () => {
      for (const bytes of writes) socket.write(bytes);
    }),
  );
}

describe("a good answer", () => {
  test("is fetched, and the connection kept", async () => {
    const server = await serveBytes(answerOf("page"));
    const client = new TestClient(server.port);
    for (let i = 0; i < 3; i++) {
      expect(await client.get()).toEqual({ failure: null, page: "page", status: 200 });
    }
    expect(server.connections()).toBe(1);
  });

  test("may come in chunks of one byte", async () => {
    const chunks = [..."a page in bytes"].map((byte) => `1\r\n${byte}\r\n`).join("");
    const server = await serveBytes(
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
      `${chunks}0\r\n\r\n`,
    );
    const client = new TestClient(server.port);
    expect((await client.get()).page).toBe("a page in bytes");
    expect(client.buffers.lentBytes).toBe(0);
  });

  test("may end with the connection", async () => {
    const server = await serve((socket) =>
      onRequest(socket, () => socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\npage")),
    );
    const client = new TestClient(server.port);
    expect((await client.get()).page).toBe("page");
    expect((await client.get()).page).toBe("page");
    expect(server.connections()).toBe(2);
  });

  test("is asked for once more when the server has closed a kept connection meanwhile", async () => {
    const sockets: Socket[] = [];
    const server = await serve((socket) => {
      sockets.push(socket);
      onRequest(socket, () => socket.write(answerOf("page")));
    });
    const client = new TestClient(server.port);
    expect((await client.get()).page).toBe("page");
    // Closed by the server in the turn in which the client sends: it can not know yet.
    sockets[0]!.destroy();
    expect(await client.get()).toMatchObject({ failure: null, page: "page" });
    expect(server.connections()).toBe(2);
  });

  test("does not come from bytes that nobody asked for", async () => {
    const sockets: Socket[] = [];
    const server = await serve((socket) => {
      sockets.push(socket);
      onRequest(socket, () => socket.write(answerOf("page")));
    });
    const client = new TestClient(server.port);
    expect((await client.get()).page).toBe("page");
    sockets[0]!.write(answerOf("forged"));
    await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed socket");
    expect((await client.get()).page).toBe("page");
  });

  test("may follow an informational one", async () => {
    const server = await serveBytes(
      "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
      answerOf("page"),
    );
    expect(await new TestClient(server.port).get()).toMatchObject({ failure: null, status: 200 });
  });

  test("of exactly the cap is taken", async () => {
    const server = await serveBytes(answerOf(Buffer.alloc(PAGE_BYTES_MAX, "x")));
    const result = await new TestClient(server.port).get();
    expect(result.page).toHaveLength(PAGE_BYTES_MAX);
  });
});

describe("an answer that does not count", () => {
  test.each(["204 No Content", "401 Unauthorized", "404 Not Found", "500 Oops", "503 Busy"])(
    "is one with status %s",
    async (status) => {
      const server = await serveBytes(answerOf(status.startsWith("204") ? "" : "page", status));
      const client = new TestClient(server.port);
      expect(await client.get()).toMatchObject({ failure: "status", page: "" });
      expect(await client.get()).toMatchObject({ status: Number(status.slice(0, 3)) });
      expect(server.connections()).toBe(1);
    },
  );

  test("is a redirect, and nobody follows it", async () => {
    const target = await serveBytes(answerOf("page"));
    const server = await serveBytes(
      answerOf("", "301 Moved", `location: http://127.0.0.1:${target.port}/metrics\r\n`),
    );
    expect(await new TestClient(server.port).get()).toMatchObject({
      failure: "status",
      status: 301,
    });
    expect(target.connections()).toBe(0);
  });

  test.each([
    ["something else", "220 mail.example ESMTP\r\n\r\n"],
    ["headers without end", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(64 * 1024)}`],
    ["a bad chunk size", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"],
    ["a bad length", "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"],
  ])("is %s", async (_, bytes) => {
    const server = await serveBytes(bytes);
    expect((await new TestClient(server.port).get()).failure).toBe("malformed");
    await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed socket");
  });
});

describe("too much", () => {
  test("of a page with a length ends the connection at the cap", async () => {
    let sent = 0;
    const server = await serve((socket) =>
      onRequest(socket, () => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${50 * 1024 * 1024}\r\n\r\n`);
        const more = (): void => {
          while (sent < 50 * 1024 * 1024 && !socket.destroyed) {
            sent += 65_536;
            if (!socket.write(Buffer.alloc(65_536, "x"))) break;
          }
        };
        socket.on("drain", more);
        more();
      }),
    );
    const client = new TestClient(server.port);
    expect((await client.get()).failure).toBe("too-large");
    await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed socket");
    expect(sent).toBeLessThan(20 * 1024 * 1024);
    expect(client.buffers.lentBytes).toBe(0);
    expect(client.results).toBe(1);
  });

  test.each([
    ["200 OK", "too-large"],
    ["500 Oops", "status"],
  ])("of chunks without end after %s is %s", async (status, failure) => {
    const chunk = Buffer.concat([
      Buffer.from("8000\r\n"),
      Buffer.alloc(0x8000),
      Buffer.from("\r\n"),
    ]);
    const server = await serve((socket) =>
      onRequest(socket, () => {
        socket.write(`HTTP/1.1 ${status}\r\ntransfer-encoding: chunked\r\n\r\n`);
        const more = (): void => {
          while (!socket.destroyed && socket.write(chunk));
        };
        socket.on("drain", more);
        more();
      }),
    );
    const client = new TestClient(server.port);
    expect((await client.get()).failure).toBe(failure);
    await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed socket");
  });
});

describe("no answer", () => {
  test("from a closed port is a refusal", async () => {
    const server = await startRawServer(() => {});
    await server.close();
    expect((await new TestClient(server.port).get()).failure).toBe("refused");
  });

  test.each([
    ["at once", ""],
    ["within the headers", "HTTP/1.1 200 OK\r\ncontent-le"],
    ["within the page", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npage"],
  ])(
    "from a server that hangs up %s is a reset, and the next fetch connects anew",
    async (_, bytes) => {
      let calls = 0;
      const server = await serve((socket) =>
        onRequest(socket, () => {
          if (calls++ === 0) socket.end(bytes);
          else socket.write(answerOf("page"));
        }),
      );
      const client = new TestClient(server.port);
      expect((await client.get()).failure).toBe("reset");
      expect((await client.get()).page).toBe("page");
    },
  );

  test.each([
    ["hangs", ""],
    ["stops within the page", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npage"],
  ])("from a server that %s ends with the abort, which closes the socket", async (_, bytes) => {
    const server = await serve((socket) => onRequest(socket, () => socket.write(bytes)));
    const client = new TestClient(server.port);
    const result = client.get();
    await until(() => (server.connections() === 1 ? true : null), DEADLINE_MS, "connection");
    client.connection.abort("timeout");
    expect((await result).failure).toBe("timeout");
    await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed socket");
    expect(client.results).toBe(1);
    expect(client.buffers.lentBytes).toBe(0);
  });

  test("is told to nobody after a close", async () => {
    const server = await serve((socket) => socket.resume());
    const client = new TestClient(server.port);
    client.connection.get("/metrics", () => client.results++);
    await until(() => (server.connections() === 1 ? true : null), DEADLINE_MS, "connection");
    client.connection.close();
    await until(() => (server.open() === 0 ? true : null), DEADLINE_MS, "closed socket");
    expect(client.results).toBe(0);
  });

  test("comes from a path that no request line can carry", async () => {
    const server = await serveBytes(answerOf("page"));
    const client = new TestClient(server.port);
    for (const path of ["/a b", "/a\r\nx: y", "metrics", "/é"]) {
      expect((await client.get(path)).failure, path).toBe("unreachable");
    }
    expect(server.connections()).toBe(0);
  });

  test("comes from an address that is none", async () => {
    const client = new TestClient(1, "http", {}, "no host");
    expect((await client.get()).failure).toBe("unreachable");
  });
});

describe("TLS", () => {
  const fixture = (name: string): string =>
    readFileSync(new URL(`../test/fixtures/tls/${name}.pem`, import.meta.url), "utf8");
  /** For the name metrics.test; each is its own authority. */
  const ca = fixture("metrics.cert");
  const otherCa = fixture("other.cert");

  async function serveTls(): Promise<RawServer> {
    const server = await startRawServer(
      (socket) => onRequest(socket, () => socket.write(answerOf("page"))),
      (listener) => createTlsServer({ cert: ca, key: fixture("metrics.key") }, listener),
    );
    closers.push(() => server.close());
    return server;
  }

  test("takes any certificate by default, and over one handshake", async () => {
    const server = await serveTls();
    const client = new TestClient(server.port, "https");
    expect((await client.get()).page).toBe("page");
    expect((await client.get()).page).toBe("page");
    expect(server.connections()).toBe(1);
  });

  test("verifies authority and name when an authority is given", async () => {
    const server = await serveTls();
    const outcome = async (tls: ScrapeTls): Promise<FailureReason | null> =>
      (await new TestClient(server.port, "https", tls).get()).failure;
    expect(await outcome({ ca, serverName: "metrics.test" })).toBeNull();
    expect(await outcome({ ca, serverName: "other.test" })).toBe("tls");
    expect(await outcome({ ca })).toBe("tls"); // the certificate does not name the address
    expect(await outcome({ ca: otherCa, serverName: "metrics.test" })).toBe("tls");
    expect(await outcome({ ca: otherCa, insecureSkipVerify: true })).toBeNull();
  });

  test("fails on a server that has none", async () => {
    const server = await serve((socket) =>
      socket.once("data", () => socket.end(answerOf("", "400 Bad Request"))),
    );
    expect((await new TestClient(server.port, "https").get()).failure).toBe("tls");
  });

  test("refuses texts that are no PEM", () => {
    expect(() => connectionSettings("https", { cert: "x", key: "y" })).toThrow();
  });
});

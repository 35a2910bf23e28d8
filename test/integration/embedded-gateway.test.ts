/**
 * The embedded gateway does what Envoy does with ext_proc in full-duplex mode, seen from all three sides: the client, a
 * scripted processor, and a model server.
 * @module
 */
import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { status as GrpcStatus } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until, within } from "../support/deadline.ts";
import {
  type GatewayMode,
  type RunningGateway,
  startGateway,
} from "../support/embedded-gateway.ts";
import { freePorts } from "../support/ports.ts";
import { answerTo, headOf, openPost, post } from "../support/sim-http.ts";
import {
  type ProcessorExchange,
  pairsOf,
  replies,
  type ScriptedProcessor,
  startScriptedProcessor,
} from "../support/sim-processor.ts";

const WAIT_MS = 5_000;
const FULL_DUPLEX_STREAMED = 4;
/** Envoy's buffer limit in the measured setup lets body messages of 32 to 48 KiB through. */
const BODY_MESSAGE_BYTES_MAX = 48 * 1024;

/** What a model server was asked. */
interface Asked {
  readonly request: IncomingMessage;
  readonly body: string;
}

interface ModelServer {
  readonly address: string;
  /** Requests whose body is complete. */
  readonly asked: Asked[];
  close(): Promise<void>;
}

const cleanups: (() => Promise<void> | void)[] = [];
let processor: ScriptedProcessor;
let gateway: RunningGateway;

beforeEach(async () => {
  processor = await startScriptedProcessor();
  cleanups.push(() => processor.close());
  gateway = await startGateway({ extProcAddress: processor.address });
  cleanups.push(() => gateway.close());
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Answers each request with `answer`, by default 200 and two header lines. */
async function startModelServer(
  answer: (response: ServerResponse, asked: Asked) => void = (response) => {
    response.writeHead(200, { "content-type": "text/plain", "x-served-by": "m" }).end("hello");
  },
): Promise<ModelServer> {
  const asked: Asked[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => {});
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const entry = { request, body: Buffer.concat(chunks).toString("latin1") };
      asked.push(entry);
      answer(response, entry);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  cleanups.push(close);
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}

/** Sends `{}` and gives the processor's side of the exchange. */
async function exchangeOf(body = "{}"): Promise<{
  readonly exchange: ProcessorExchange;
  readonly answer: ReturnType<typeof post>;
}> {
  const answer = post(gateway.url, "/v1/chat/completions", body);
  answer.catch(() => {}); // a test that expects a reset looks at it later
  return { exchange: await processor.nextExchange(), answer };
}

/** A header's value among pairs. */
function headerOf(pairs: readonly (readonly [string, string])[], name: string): string | undefined {
  return pairs.find(([key]) => key === name)?.[1];
}

describe("the request, as the processor sees it", () => {
  test("headers first, with pseudo headers and the body modes, values raw and no metadata", async () => {
    const request = openPost(gateway.url, "/v1/chat/completions?a=1", { "X-Custom": "1" });
    request.end("{}");
    const exchange = await processor.nextExchange();
    const first = await exchange.take();
    expect(first.request).toBe("requestHeaders");
    expect(first.protocolConfig).toEqual({
      requestBodyMode: FULL_DUPLEX_STREAMED,
      responseBodyMode: FULL_DUPLEX_STREAMED,
    });
    expect(first.metadataContext).toBeUndefined();
    const pairs = pairsOf(first.requestHeaders?.headers);
    expect(pairs.slice(0, 4)).toEqual([
      [":method", "POST"],
      [":path", "/v1/chat/completions?a=1"],
      [":authority", new URL(gateway.url).host],
      [":scheme", "http"],
    ]);
    expect(headerOf(pairs, "x-custom")).toBe("1");
    expect(headerOf(pairs, "x-forwarded-proto")).toBe("http");
    expect(headerOf(pairs, "x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    for (const name of ["connection", "transfer-encoding", "host"]) {
      expect(headerOf(pairs, name), name).toBeUndefined();
    }
    expect((await exchange.take()).protocolConfig).toBeUndefined();
    request.destroy();
  });

  test("a body ends with an empty message, also one whose length is known", async () => {
    const { exchange } = await exchangeOf("hello");
    expect((await exchange.take()).requestHeaders?.endOfStream ?? false).toBe(false);
    const { sizes, text } = await exchange.takeBody("requestBody");
    expect([text, sizes]).toEqual(["hello", [5, 0]]);
  });

  test("a large body comes whole, in messages no larger than Envoy's", async () => {
    const body = "0123456789".repeat(30_000);
    const { exchange } = await exchangeOf(body);
    await exchange.take();
    const { sizes, text } = await exchange.takeBody("requestBody");
    expect(text).toBe(body);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(BODY_MESSAGE_BYTES_MAX);
    expect(sizes.at(-1)).toBe(0);
  });

  test("a request without a body is one message that ends the stream", async () => {
    const server = await startModelServer();
    const answer = fetch(`${gateway.url}/v1/models`);
    const exchange = await processor.nextExchange();
    const headers = await exchange.sendOn(server.address);
    expect(headers.requestHeaders?.endOfStream).toBe(true);
    await exchange.passResponse();
    expect(await (await answer).text()).toBe("hello");
    expect(server.asked[0]!.request.method).toBe("GET");
    expect(server.asked[0]!.request.headers["transfer-encoding"]).toBeUndefined();
  });

  test("trailers end a body that has some, and reach the model server", async () => {
    const server = await startModelServer();
    const request = openPost(gateway.url, "/", { "transfer-encoding": "chunked" });
    request.addTrailers({ "x-checksum": "7" });
    request.end("hello");
    const exchange = await processor.nextExchange();
    await exchange.take();
    expect((await exchange.take()).requestBody?.body?.toString()).toBe("hello");
    const trailers = await exchange.take();
    expect(pairsOf(trailers.requestTrailers?.trailers)).toEqual([["x-checksum", "7"]]);
    exchange.send(
      replies.requestHeaders(server.address),
      replies.body("requestBody", "hello", false),
      replies.trailers("requestTrailers"),
    );
    await exchange.passResponse();
    expect((await answerTo(request)).text).toBe("hello");
    expect(server.asked[0]!.request.trailers).toEqual({ "x-checksum": "7" });
  });
});

describe("the request, as the model server sees it", () => {
  test("is at the destination, chunked, without a length, with the headers that the processor may change", async () => {
    const server = await startModelServer();
    const other = await startModelServer();
    const request = openPost(gateway.url, "/v1/completions", { "x-old": "1", "x-gone": "1" });
    request.end("before");
    const exchange = await processor.nextExchange();
    await exchange.take();
    await exchange.takeBody("requestBody");
    exchange.send(
      replies.requestHeaders(
        server.address,
        [
          ["x-old", "2"],
          ["content-length", "999"],
          [":method", "PUT"],
          ["host", "elsewhere"],
          ["x-envoy-internal", "1"],
        ],
        ["x-gone", "host"],
      ),
      replies.body("requestBody", "af", false),
      replies.body("requestBody", "ter", true),
    );
    await exchange.passResponse();
    expect((await answerTo(request)).status).toBe(200);
    const [{ body, request: asked }] = server.asked as [Asked];
    expect([asked.method, asked.url, body]).toEqual(["POST", "/v1/completions", "after"]);
    expect(asked.headers).toMatchObject({
      host: new URL(gateway.url).host,
      "transfer-encoding": "chunked",
      "x-old": "2",
      "x-gateway-destination-endpoint": server.address,
    });
    for (const name of ["content-length", "x-gone", "x-envoy-internal"]) {
      expect(asked.headers[name], name).toBeUndefined();
    }
    expect(other.asked).toEqual([]);
    expect([...gateway.stats.picks]).toEqual([[server.address, 1]]);
  });

  test("of a list of destinations the first is used", async () => {
    const [first, second] = [await startModelServer(), await startModelServer()];
    const { answer, exchange } = await exchangeOf();
    await exchange.sendOn(`${first.address},${second.address}`);
    await exchange.passResponse();
    expect((await answer).status).toBe(200);
    expect([first.asked.length, second.asked.length]).toEqual([1, 0]);
  });
});

describe("the response", () => {
  test("goes through the processor: headers with their status, pieces, an empty end; then the stream is reset", async () => {
    const server = await startModelServer();
    const { answer, exchange } = await exchangeOf();
    await exchange.sendOn(server.address);
    const headers = await exchange.take();
    const pairs = pairsOf(headers.responseHeaders?.headers);
    expect(pairs[0]).toEqual([":status", "200"]);
    expect(headerOf(pairs, "x-served-by")).toBe("m");
    expect(headers.responseHeaders?.endOfStream ?? false).toBe(false);
    const { sizes, text } = await exchange.takeBody("responseBody");
    expect([text, sizes]).toEqual(["hello", [5, 0]]);
    exchange.send(
      replies.responseHeaders([["x-picked", "yes"]]),
      replies.body("responseBody", "changed", false),
      replies.body("responseBody", "", true),
    );
    const { headers: got, status, text: body } = await answer;
    expect([status, body]).toEqual([200, "changed"]);
    expect(got).toMatchObject({ "x-served-by": "m", "x-picked": "yes" });
    await exchange.canceled();
    expect(gateway.stats).toMatchObject({ completed: 1, active: 0, spuriousReplies: 0 });
  });

  test("streams: each piece reaches the client before the next is made", async () => {
    let response: ServerResponse | undefined;
    const server = await startModelServer((opened) => {
      response = opened;
      opened.writeHead(200, { "content-type": "text/event-stream" });
      opened.write("data: 0\n\n");
    });
    const request = openPost(gateway.url, "/");
    request.end("{}");
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    const passed = exchange.passResponse();
    const head = await headOf(request);
    head.setEncoding("utf8");
    for (let piece = 0; piece < 3; piece++) {
      const [text] = await within(once(head, "data"), WAIT_MS, `piece ${piece}`);
      expect(text).toBe(`data: ${piece}\n\n`);
      if (piece < 2) response!.write(`data: ${piece + 1}\n\n`);
    }
    const ended = once(head, "end");
    response!.end();
    await within(ended, WAIT_MS, "end of the stream");
    await passed;
  });

  test("trailers end a response that has some", async () => {
    const server = await startModelServer((response) => {
      response.writeHead(200, { trailer: "x-sum" });
      response.write("hello");
      response.addTrailers({ "x-sum": "5" });
      response.end();
    });
    const request = openPost(gateway.url, "/");
    request.end("{}");
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    await exchange.take();
    await exchange.take();
    const trailers = await exchange.take();
    expect(pairsOf(trailers.responseTrailers?.trailers)).toEqual([["x-sum", "5"]]);
    exchange.send(
      replies.responseHeaders(),
      replies.body("responseBody", "hello", false),
      replies.trailers("responseTrailers"),
    );
    const head = await headOf(request);
    head.resume();
    await within(once(head, "end"), WAIT_MS, "end of the answer");
    expect(head.trailers).toEqual({ "x-sum": "5" });
  });

  test.each([204, 304])("%i is headers that end the stream", async (status) => {
    const server = await startModelServer((response) => response.writeHead(status).end());
    const { answer, exchange } = await exchangeOf();
    await exchange.sendOn(server.address);
    const { responseHeaders } = await exchange.take();
    expect(responseHeaders?.endOfStream).toBe(true);
    exchange.send(replies.responseHeaders());
    expect((await answer).status).toBe(status);
    await exchange.canceled();
  });

  test("to HEAD is headers with the length that GET would have", async () => {
    const server = await startModelServer((response) => {
      response.writeHead(200, { "content-length": "5" }).end();
    });
    const request = httpRequest(gateway.url, { method: "HEAD", agent: false });
    request.end();
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    await exchange.passResponse();
    const head = await headOf(request);
    expect([head.statusCode, head.headers["content-length"]]).toEqual([200, "5"]);
  });

  test("passes straight through when the processor ended its stream after the request", async () => {
    let response: ServerResponse | undefined;
    const server = await startModelServer((opened) => {
      response = opened;
    });
    const { answer, exchange } = await exchangeOf();
    await exchange.sendOn(server.address);
    exchange.end();
    await until(() => (response === undefined ? null : true), WAIT_MS, "request");
    response!.end("late");
    expect(await answer).toMatchObject({ status: 200, text: "late" });
    expect(gateway.stats).toMatchObject({ extProcFailures: 0, completed: 1 });
  });
});

describe("an immediate response", () => {
  test("reaches the client as it is, and ends the exchange", async () => {
    const { answer, exchange } = await exchangeOf();
    await exchange.take();
    exchange.send(
      replies.immediate(429, "queue full", [
        ["x-dropped-reason", "full"],
        ["content-type", "application/json"],
      ]),
    );
    const { headers, status, text } = await answer;
    expect([status, text]).toEqual([429, "queue full"]);
    expect(headers).toMatchObject({
      "x-dropped-reason": "full",
      "content-type": "application/json",
      "content-length": "10",
    });
    await exchange.canceled();
    expect(gateway.stats).toMatchObject({ immediateReplies: 1, completed: 1, active: 0 });
    expect([...gateway.stats.picks]).toEqual([]);
  });

  test("is plain text unless it says otherwise, and replies behind it are not looked at", async () => {
    const { answer, exchange } = await exchangeOf();
    exchange.send(replies.immediate(503, "no"), replies.requestHeaders("127.0.0.1:1"));
    expect(await answer).toMatchObject({
      status: 503,
      text: "no",
      headers: { "content-type": "text/plain" },
    });
    expect(gateway.stats).toMatchObject({ spuriousReplies: 0, upstreamFailures: 0 });
  });

  test("after the headers of the response is a reset", async () => {
    const server = await startModelServer((response) => {
      response.writeHead(200);
      response.write("hello");
    });
    const request = openPost(gateway.url, "/");
    request.end("{}");
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    await exchange.take();
    exchange.send(replies.responseHeaders());
    const head = await headOf(request);
    const broken = once(head, "error");
    exchange.send(replies.immediate(503, "too late"));
    expect(await within(broken, WAIT_MS, "reset")).toMatchObject([{ code: "ECONNRESET" }]);
  });
});

describe("replies out of order fail the exchange with 500", () => {
  const bodyMutation = { requestBody: { response: { bodyMutation: { body: Buffer.from("x") } } } };
  test.each<[string, (destination: string) => object[]]>([
    ["a body before the headers", () => [replies.body("requestBody", "x", true)]],
    ["trailers before the headers", () => [replies.trailers("requestTrailers")]],
    ["headers twice", (to) => [replies.requestHeaders(to), replies.requestHeaders(to)]],
    [
      "a body after its end",
      (to) => [
        replies.requestHeaders(to),
        replies.body("requestBody", "x", true),
        replies.body("requestBody", "x", true),
      ],
    ],
    ["a response before there is one", () => [replies.responseHeaders()]],
    ["a response body before there is one", () => [replies.body("responseBody", "x", true)]],
    ["a body that is not streamed", (to) => [replies.requestHeaders(to), bodyMutation]],
    ["a reply without a kind", () => [{}]],
    [
      "a header in both of its fields",
      () => [
        {
          requestHeaders: {
            response: {
              headerMutation: {
                setHeaders: [{ header: { key: "a", value: "x", rawValue: Buffer.from("y") } }],
              },
            },
          },
        },
      ],
    ],
  ])("%s", async (_, messages) => {
    // It accepts the request and never answers, so that only the gateway can.
    const silent = await startModelServer(() => {});
    const { answer, exchange } = await exchangeOf();
    await exchange.take();
    exchange.send(...messages(silent.address));
    const { status, text } = await answer;
    expect([status, text]).toEqual([500, ""]);
    await exchange.canceled();
    expect(gateway.stats).toMatchObject({ spuriousReplies: 1, localReplies: 1, active: 0 });
  });

  test("and with a reset when the client has a part of the response", async () => {
    const server = await startModelServer((response) => {
      response.writeHead(200);
      response.write("hello");
    });
    const request = openPost(gateway.url, "/");
    request.end("{}");
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    await exchange.take();
    exchange.send(replies.responseHeaders());
    const head = await headOf(request);
    const broken = once(head, "error");
    exchange.send(replies.responseHeaders());
    expect(await within(broken, WAIT_MS, "reset")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(gateway.stats.spuriousReplies).toBe(1);
  });

  test("not when the replies of both directions interleave as they may", async () => {
    const server = createServer((_, response) => response.writeHead(200).end("early"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const { answer, exchange } = await exchangeOf();
    await exchange.take();
    exchange.send(replies.requestHeaders(`127.0.0.1:${(server.address() as AddressInfo).port}`));
    await exchange.takeBody("requestBody");
    // The server answers on the headers alone; the request's body is still to be handed back.
    expect((await exchange.take()).request).toBe("responseHeaders");
    exchange.send(
      replies.responseHeaders(),
      replies.body("requestBody", "{}", true),
      replies.body("responseBody", "early", false),
      replies.body("responseBody", "", true),
    );
    expect(await answer).toMatchObject({ status: 200, text: "early" });
    expect(gateway.stats.spuriousReplies).toBe(0);
  });
});

describe("a processor that fails", () => {
  test("or is not there: 500 with an empty body", async () => {
    const [port] = await freePorts(1);
    const alone = await startGateway({ extProcAddress: `127.0.0.1:${port}` });
    cleanups.push(() => alone.close());
    const answer = await post(alone.url, "/", "{}");
    expect([answer.status, answer.text]).toEqual([500, ""]);
    expect(alone.stats).toMatchObject({ extProcFailures: 1, localReplies: 1, active: 0 });
  });

  test.each([
    ["with an error", (exchange: ProcessorExchange) => exchange.end(GrpcStatus.UNAVAILABLE)],
    ["with OK before it has decided", (exchange: ProcessorExchange) => exchange.end()],
  ])("%s: 500", async (_, endIt) => {
    const { answer, exchange } = await exchangeOf();
    await exchange.take();
    endIt(exchange);
    expect((await answer).status).toBe(500);
    expect(gateway.stats).toMatchObject({ extProcFailures: 1, spuriousReplies: 0 });
  });

  test("in the middle of the response: a reset, and the model server's request is given up", async () => {
    let gone: Promise<unknown> | undefined;
    const server = await startModelServer((response) => {
      gone = once(response, "close");
      response.writeHead(200);
      response.write("hello");
    });
    const request = openPost(gateway.url, "/");
    request.end("{}");
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    await exchange.take();
    exchange.send(replies.responseHeaders());
    const head = await headOf(request);
    const broken = once(head, "error");
    exchange.end(GrpcStatus.INTERNAL);
    await within(broken, WAIT_MS, "reset");
    await within(gone!, WAIT_MS, "end of the model server's request");
    expect(gateway.stats).toMatchObject({ extProcFailures: 1, active: 0 });
  });
});

describe("the gateway's own answers go through the response phase, with one message of body", () => {
  const passOwnAnswer = async (exchange: ProcessorExchange): Promise<void> => {
    const headers = await exchange.take();
    const pairs = pairsOf(headers.responseHeaders?.headers);
    expect(pairs).toContainEqual([":status", "503"]);
    expect(pairs).toContainEqual(["content-type", "text/plain"]);
    const body = await exchange.take();
    expect(body.responseBody?.endOfStream).toBe(true);
    exchange.send(
      replies.responseHeaders([["x-seen", "1"]]),
      replies.body("responseBody", body.responseBody?.body ?? "", true),
    );
  };

  test("without a destination", async () => {
    const { answer, exchange } = await exchangeOf();
    await exchange.sendOn("");
    await passOwnAnswer(exchange);
    expect(await answer).toMatchObject({
      status: 503,
      text: "no healthy upstream",
      headers: { "x-seen": "1" },
    });
    expect(gateway.stats).toMatchObject({ localReplies: 1, upstreamFailures: 0, completed: 1 });
  });

  test.each(["nowhere", ":80", "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:"])(
    "with the destination %s, which is no address",
    async (destination) => {
      const { answer, exchange } = await exchangeOf();
      await exchange.sendOn(destination);
      await passOwnAnswer(exchange);
      expect((await answer).text).toBe("no healthy upstream");
    },
  );

  test("when nobody listens at the destination", async () => {
    const [port] = await freePorts(1);
    const { answer, exchange } = await exchangeOf();
    await exchange.sendOn(`127.0.0.1:${port}`);
    await passOwnAnswer(exchange);
    const { status, text } = await answer;
    expect([status, text]).toEqual([
      503,
      "upstream connect error or disconnect/reset before headers",
    ]);
    expect(gateway.stats).toMatchObject({ upstreamFailures: 1, localReplies: 1 });
  });
});

describe("whoever leaves", () => {
  test("a client that leaves ends the exchange and the model server's request", async () => {
    let gone: Promise<unknown> | undefined;
    const server = await startModelServer((response) => {
      gone = once(response, "close");
    });
    const request = openPost(gateway.url, "/");
    request.end("{}");
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    await until(() => (gone === undefined ? null : true), WAIT_MS, "request");
    request.destroy();
    await exchange.canceled();
    await within(gone!, WAIT_MS, "end of the model server's request");
    expect(gateway.stats).toMatchObject({ clientAborts: 1, active: 0, completed: 0 });
  });

  test("a client that leaves before its body is complete ends the exchange", async () => {
    const request = openPost(gateway.url, "/", { "content-length": "100" });
    request.write("half");
    const exchange = await processor.nextExchange();
    await exchange.take();
    request.destroy();
    await exchange.canceled();
    expect(gateway.stats).toMatchObject({ clientAborts: 1, active: 0 });
  });

  test("a model server that breaks off its response resets the client", async () => {
    let response: ServerResponse | undefined;
    const server = await startModelServer((opened) => {
      response = opened;
      opened.writeHead(200, { "content-length": "100" });
      opened.write("half");
    });
    const request = openPost(gateway.url, "/");
    request.end("{}");
    const exchange = await processor.nextExchange();
    await exchange.sendOn(server.address);
    await exchange.take();
    exchange.send(replies.responseHeaders());
    const head = await headOf(request);
    const broken = once(head, "error");
    response!.destroy();
    await within(broken, WAIT_MS, "reset");
    await exchange.canceled();
    expect(gateway.stats).toMatchObject({ upstreamFailures: 1, completed: 0, active: 0 });
  });

  test("close ends what is open", async () => {
    const { answer, exchange } = await exchangeOf();
    await exchange.take();
    const failed = expect(answer).rejects.toThrow();
    await gateway.close();
    await failed;
    await exchange.canceled();
  });
});

describe("round robin", () => {
  const answerOfServer = async (): Promise<string> =>
    (await post(gateway.url, "/", '{"a":1}')).text;

  test("asks nobody and takes the servers in turn", async () => {
    const named = (name: string): Promise<ModelServer> =>
      startModelServer((response, { body }) => response.end(`${name} ${body}`));
    const servers = [await named("a"), await named("b")];
    const mode: GatewayMode = { roundRobin: servers.map(({ address }) => address) };
    gateway.setMode(mode);
    const got = [];
    for (let i = 0; i < 4; i++) got.push(await answerOfServer());
    expect(got).toEqual(['a {"a":1}', 'b {"a":1}', 'a {"a":1}', 'b {"a":1}']);
    expect([...gateway.stats.picks.values()]).toEqual([2, 2]);
  });

  test("without a server, and with one that is gone, it is 503", async () => {
    gateway.setMode({ roundRobin: [] });
    expect((await post(gateway.url, "/", "{}")).status).toBe(503);
    const [port] = await freePorts(1);
    gateway.setMode({ roundRobin: [`127.0.0.1:${port}`] });
    expect((await post(gateway.url, "/", "{}")).status).toBe(503);
    expect(gateway.stats).toMatchObject({ localReplies: 2, upstreamFailures: 1 });
  });
});

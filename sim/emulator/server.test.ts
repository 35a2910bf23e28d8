import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { vllm } from "../../scrapers/engines/vllm.ts";
import { PageFacts } from "../../scrapers/page-facts.ts";
import { PageScanner } from "../../scrapers/scan-metrics.ts";
import { until, within } from "../../test/support/deadline.ts";
import { parseExposition, sumOf } from "../../test/support/exposition.ts";
import { answerTo, eventsOf, headOf, openPost, post } from "../../test/support/sim-http.ts";
import type { StepProfile } from "../step-time.ts";
import { OUTPUT_TOKENS_MAX } from "./generation.ts";
import { type Emulator, type EmulatorOptions, startEmulator } from "./server.ts";

const WAIT_MS = 5_000;
const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";

/** Answers at once. */
const FAST: StepProfile = {
  baseMs: 0.05,
  prefillTokensPerSecond: 1e7,
  perSequenceMs: 0,
  perContextTokenMs: 0,
};
/** Answers in a quarter of an hour: what a test does with a request under way is done in time. */
const STUCK: StepProfile = { ...FAST, baseMs: 1e6 };

const running: Emulator[] = [];

async function start(options: EmulatorOptions = {}): Promise<Emulator> {
  const engine = { profile: FAST, adapterLoadMs: 0, ...options.engine };
  const emulator = await startEmulator({ name: "e-1", adapters: ["sql"], ...options, engine });
  running.push(emulator);
  return emulator;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((emulator) => emulator.close()));
});

function chat(content: unknown, members: object = {}): object {
  return { model: "base", max_tokens: 3, messages: [{ role: "user", content }], ...members };
}

/** Waits until the engine has so many requests in the batch and in the queue. */
async function engineHolds(emulator: Emulator, batch: number, queue: number): Promise<void> {
  await until(
    () => {
      const stats = emulator.engine.stats();
      return stats.running === batch && stats.waiting === queue ? true : null;
    },
    WAIT_MS,
    `${batch} running and ${queue} waiting`,
    2,
  );
}

describe("chat", () => {
  test("an answer in one piece", async () => {
    const emulator = await start();
    const { headers, status, text } = await post(emulator.url, CHAT, chat("x".repeat(120)));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(text)),
      "x-served-by": "e-1",
    });
    expect(JSON.parse(text)).toMatchObject({
      id: "chatcmpl-e-1-1",
      object: "chat.completion",
      model: "base",
      choices: [{ message: { role: "assistant", content: "the model answers" } }],
      usage: { prompt_tokens: 32, completion_tokens: 3, total_tokens: 35 },
    });
    expect(emulator.openExchanges).toBe(0);
  });

  test("a stream: who speaks, a token an event, the usage when asked for, and the end", async () => {
    const emulator = await start();
    const stream = { stream: true, stream_options: { include_usage: true } };
    const { headers, text } = await post(emulator.url, CHAT, chat("hello", stream));
    expect(headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    const events = eventsOf(text);
    expect(events.pop()).toBe("[DONE]");
    const chunks = events.map((event) => JSON.parse(event));
    expect(chunks.pop()).toMatchObject({ choices: [], usage: { completion_tokens: 3 } });
    expect(chunks.map(({ choices }) => choices[0].delta)).toEqual([
      { role: "assistant", content: "" },
      { content: "the" },
      { content: " model" },
      { content: " answers" },
    ]);
    expect(chunks.map(({ choices }) => choices[0].finish_reason)).toEqual([
      null,
      null,
      null,
      "length",
    ]);
    expect(new Set(chunks.map(({ id }) => id))).toEqual(new Set(["chatcmpl-e-1-1"]));
  });

  test("a stream has no usage unless asked for", async () => {
    const emulator = await start();
    const { text } = await post(emulator.url, CHAT, chat("hello", { stream: true }));
    expect(text).not.toContain("usage");
    expect(eventsOf(text)).toHaveLength(5);
  });

  test("the next turn finds the one before in the cache, and an adapter or another salt does not", async () => {
    const emulator = await start();
    const long = "x".repeat(640);
    const cached = async (members: object): Promise<number> => {
      const { text } = await post(emulator.url, CHAT, chat(long, members));
      return JSON.parse(text).usage.prompt_tokens_details.cached_tokens;
    };
    // 648 bytes are 162 tokens: ten full blocks of 16.
    expect(await cached({})).toBe(0);
    expect(await cached({})).toBe(160);
    expect(await cached({ model: "sql" })).toBe(0);
    expect(await cached({ model: "sql" })).toBe(160);
    expect(await cached({ cache_salt: "s" })).toBe(0);
    expect(await cached({ tools: [{ type: "function" }] })).toBe(0);
  });
});

describe("completions", () => {
  test("text and token ids, in one piece and streamed", async () => {
    const emulator = await start();
    const whole = await post(emulator.url, COMPLETIONS, {
      model: "base",
      prompt: [1, 2, 3, 4, 5],
      max_tokens: 2,
    });
    expect(JSON.parse(whole.text)).toMatchObject({
      id: "cmpl-e-1-1",
      object: "text_completion",
      choices: [{ text: "the model", finish_reason: "length" }],
      usage: { prompt_tokens: 5, completion_tokens: 2 },
    });
    const stream = { model: "base", prompt: "hello", max_tokens: 2, stream: true };
    const streamed = await post(emulator.url, COMPLETIONS, stream);
    const events = eventsOf(streamed.text);
    expect(events.pop()).toBe("[DONE]");
    expect(events.map((event) => JSON.parse(event).choices[0].text).join("")).toBe("the model");
  });
});

describe("errors have OpenAI's shape", () => {
  const error = (message: unknown, type: string, code: number): object => ({
    error: { message, type, param: null, code },
  });

  test.each([
    ["{", "body is no JSON"],
    ["", "body is no JSON"],
    ["[]", "body must be a JSON object"],
    ["null", "body must be a JSON object"],
    ["{}", "model must be a string, got nothing"],
    ['{"model":"base"}', "messages must be a non-empty array"],
  ])("400 for %s", async (body, message) => {
    const { url } = await start();
    const { headers, status, text } = await post(url, CHAT, body);
    expect(status).toBe(400);
    expect(headers["content-type"]).toBe("application/json");
    expect(JSON.parse(text)).toEqual(
      error(expect.stringContaining(message), "BadRequestError", 400),
    );
  });

  test("400 for what the cache can not hold, with the figures", async () => {
    const { url } = await start({ engine: { profile: FAST, blocks: 2 } });
    const { status, text } = await post(url, CHAT, chat("x".repeat(120)));
    expect(status).toBe(400);
    expect(JSON.parse(text).error.message).toBe(
      "This model's maximum context length is 32 tokens. However, you requested 35 tokens (32 in the prompt, 3 in the answer).",
    );
  });

  test("404 for an unknown model or adapter, and for an unknown route", async () => {
    const { url } = await start();
    const unknown = await post(url, CHAT, chat("x", { model: "legal" }));
    expect(unknown.status).toBe(404);
    expect(JSON.parse(unknown.text)).toEqual(
      error('The model "legal" does not exist.', "NotFoundError", 404),
    );
    const lost = await post(url, "/v1/embeddings", {});
    expect([lost.status, JSON.parse(lost.text)]).toEqual([
      404,
      error("no route POST /v1/embeddings", "NotFoundError", 404),
    ]);
  });

  test("404 for a target that is no URL", async () => {
    const { port } = await start();
    const socket = connect(port, "127.0.0.1");
    socket.write("GET //[ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const [head] = (await within(once(socket, "data"), WAIT_MS, "answer")) as [Buffer];
    expect(head.toString()).toMatch(/^HTTP\/1\.1 404 /);
    socket.destroy();
  });

  test("a query does not change the route", async () => {
    const { url } = await start();
    expect((await fetch(`${url}/health?verbose=1`)).status).toBe(200);
  });

  test("503 when the queue is full; then it serves on", async () => {
    const emulator = await start({ engine: { profile: STUCK, sequencesMax: 1, waitingMax: 1 } });
    const first = openPost(emulator.url, CHAT);
    first.end(JSON.stringify(chat("1")));
    await engineHolds(emulator, 1, 0);
    const second = openPost(emulator.url, CHAT);
    second.end(JSON.stringify(chat("2")));
    await engineHolds(emulator, 1, 1);
    const third = await post(emulator.url, CHAT, chat("3"));
    expect([third.status, JSON.parse(third.text)]).toEqual([
      503,
      error("the queue is full", "ServiceUnavailableError", 503),
    ]);
    second.destroy();
    await engineHolds(emulator, 1, 0);
    const fourth = openPost(emulator.url, CHAT);
    fourth.end(JSON.stringify(chat("4")));
    await engineHolds(emulator, 1, 1);
    for (const request of [first, fourth]) request.destroy();
  });
});

describe("bounds", () => {
  const limits = { bodyBytesMax: 1000, bodiesBytesMax: 1500 };

  test("413 for a large body, whether or not it says its length; the rest is thrown away", async () => {
    const { url } = await start({ limits });
    const body = JSON.stringify(chat("x".repeat(1500)));
    const told = await post(url, CHAT, body);
    expect(told.status).toBe(413);
    expect(JSON.parse(told.text).error.message).toBe("body is larger than 1000 bytes");

    const chunked = openPost(url, CHAT, { "transfer-encoding": "chunked" });
    chunked.write(body.slice(0, 1200));
    const answer = await answerTo(chunked);
    expect(answer.status).toBe(413);
    chunked.end(body.slice(1200));
  });

  test("a body that never ends is cut off", async () => {
    const { url } = await start({ limits });
    // A connection that is kept: without the bound it would stay as long as the client sends.
    const endless = openPost(url, CHAT, {
      "transfer-encoding": "chunked",
      connection: "keep-alive",
    });
    const closed = once(endless, "close");
    endless.write("x".repeat(1200));
    expect((await headOf(endless)).statusCode).toBe(413);
    endless.write("x".repeat(1200));
    await within(closed, WAIT_MS, "end of the connection");
  });

  test("503 while too much is being read, and room again when a client leaves", async () => {
    const { url } = await start({ limits });
    const open = openPost(url, CHAT, { "content-length": "1000" });
    open.write("x".repeat(900));
    const body = JSON.stringify(chat("y".repeat(800)));
    const statusIs = async (status: number): Promise<true | null> =>
      (await post(url, CHAT, body)).status === status ? true : null;
    await until(() => statusIs(503), WAIT_MS, "refusal of a second body", 2);
    open.destroy();
    await until(() => statusIs(200), WAIT_MS, "room for a body", 2);
  });

  test("a client that reads nothing is cut off, and its request ends in the engine", async () => {
    const emulator = await start({
      engine: { profile: { ...FAST, baseMs: 1e-5 }, blocks: 100_000 },
      limits: { unsentBytesMax: 16_384 },
    });
    const request = openPost(emulator.url, CHAT);
    request.end(JSON.stringify(chat("x", { stream: true, max_tokens: OUTPUT_TOKENS_MAX })));
    const response = await headOf(request);
    response.on("error", () => {});
    response.pause();
    await engineHolds(emulator, 0, 0);
    expect(emulator.engine.stats()).toMatchObject({ canceledTotal: 1, finishedTotal: 0 });
    expect(emulator.openExchanges).toBe(0);
    request.destroy();
  });

  test("connections above the bound are closed", async () => {
    const { port, url } = await start({ limits: { connectionsMax: 1 } });
    const first = connect(port, "127.0.0.1");
    await once(first, "connect");
    const second = connect(port, "127.0.0.1");
    second.on("error", () => {});
    await within(once(second, "close"), WAIT_MS, "end of the second connection");
    first.destroy();
    const served = async (): Promise<true | null> =>
      await fetch(`${url}/health`).then(
        (response) => (response.ok ? true : null),
        () => null,
      );
    await until(served, WAIT_MS, "room for a connection", 2);
  });
});

describe("a client that leaves", () => {
  const aborted = async (emulator: Emulator): Promise<number | null> => {
    const page = await (await fetch(`${emulator.url}/metrics`)).text();
    return sumOf(parseExposition(page), "vllm:request_success_total", { finished_reason: "abort" });
  };

  test("in the middle of a stream frees its place in the batch", async () => {
    const emulator = await start({ engine: { profile: { ...FAST, baseMs: 1 } } });
    const request = openPost(emulator.url, CHAT);
    request.end(JSON.stringify(chat("x", { stream: true, max_tokens: 90_000 })));
    const response = await headOf(request);
    response.on("error", () => {});
    await within(once(response, "data"), WAIT_MS, "first token");
    expect(emulator.engine.stats()).toMatchObject({ running: 1 });
    request.destroy();
    await engineHolds(emulator, 0, 0);
    expect(emulator.engine.stats()).toMatchObject({ canceledTotal: 1, kvUtilization: 0 });
    expect(emulator.openExchanges).toBe(0);
    expect(await aborted(emulator)).toBe(1);
  });

  test("before its first token frees its place in the batch and in the queue", async () => {
    const emulator = await start({ engine: { profile: STUCK, sequencesMax: 1 } });
    const requests = [chat("1"), chat("2", { stream: true })].map((body) => {
      const request = openPost(emulator.url, CHAT);
      request.end(JSON.stringify(body));
      return request;
    });
    await engineHolds(emulator, 1, 1);
    for (const request of requests) request.destroy();
    await engineHolds(emulator, 0, 0);
    expect(await aborted(emulator)).toBe(2);
  });

  test("before the end of its body leaves nothing behind", async () => {
    const emulator = await start();
    const request = openPost(emulator.url, CHAT, { "content-length": "1000" });
    request.write("{");
    await once(request, "socket");
    request.destroy();
    expect((await post(emulator.url, CHAT, chat("x"))).status).toBe(200);
    expect(emulator.engine.stats()).toMatchObject({ finishedTotal: 1, canceledTotal: 0 });
  });
});

describe("models and adapters", () => {
  test("the list has the base model and its adapters", async () => {
    const { url } = await start({ adapters: ["sql", "legal"] });
    const list = (await (await fetch(`${url}/v1/models`)).json()) as { data: object[] };
    const entry = (id: string, parent: string | null): object => ({
      id,
      object: "model",
      created: 0,
      owned_by: "emulator",
      root: id,
      parent,
      max_model_len: 96_000,
    });
    expect(list).toEqual({
      object: "list",
      data: [entry("base", null), entry("sql", "base"), entry("legal", "base")],
    });
  });

  test("an adapter is served from its load to its unload", async () => {
    const emulator = await start({ adapters: [] });
    const { url } = emulator;
    const ask = async (): Promise<number> =>
      (await post(url, CHAT, chat("x", { model: "a" }))).status;
    expect(await ask()).toBe(404);
    const loaded = await post(url, "/v1/load_lora_adapter", { lora_name: "a", lora_path: "/a" });
    expect([loaded.status, loaded.text]).toEqual([
      200,
      "Success: LoRA adapter 'a' added successfully.",
    ]);
    expect(await ask()).toBe(200);
    expect(emulator.engine.adapters.loaded).toEqual(["a"]);
    const unloaded = await post(url, "/v1/unload_lora_adapter", { lora_name: "a" });
    expect([unloaded.status, unloaded.text]).toEqual([
      200,
      "Success: LoRA adapter 'a' removed successfully.",
    ]);
    expect(await ask()).toBe(404);
    expect(emulator.engine.adapters.loaded).toEqual([]);
  });

  test.each([
    [{}, "Both 'lora_name' and 'lora_path' must be provided."],
    [{ lora_name: "a" }, "Both 'lora_name' and 'lora_path' must be provided."],
    [{ lora_name: "", lora_path: "/a" }, "Both 'lora_name' and 'lora_path' must be provided."],
    [{ lora_name: { toString: 1 }, lora_path: "/a" }, "Both 'lora_name' and 'lora_path'"],
    [{ lora_name: "sql", lora_path: "/a" }, 'The lora adapter "sql" has already been loaded.'],
    [{ lora_name: "base", lora_path: "/a" }, 'The lora adapter "base" has already been loaded.'],
    [{ lora_name: "long-name", lora_path: "/a" }, "lora_name is longer than 8 characters"],
  ])("load of %j is refused", async (body, message) => {
    const { url } = await start({ limits: { adapterNameMax: 8 } });
    const { status, text } = await post(url, "/v1/load_lora_adapter", body);
    const { error } = JSON.parse(text);
    expect([status, error.type]).toEqual([400, "InvalidUserInput"]);
    expect(error.message).toContain(message);
  });

  test("the number of adapters is bounded", async () => {
    const { url } = await start({ limits: { adaptersMax: 2 } });
    const load = async (name: string): Promise<number> =>
      (await post(url, "/v1/load_lora_adapter", { lora_name: name, lora_path: "/x" })).status;
    expect([await load("a"), await load("b")]).toEqual([200, 400]);
  });

  test.each([
    [{}, 400],
    [{ lora_name: { toString: 1 } }, 400],
    [{ lora_name: "legal" }, 404],
    [{ lora_name: "base" }, 404],
  ])("unload of %j is refused with %i", async (body, status) => {
    const { url } = await start();
    expect((await post(url, "/v1/unload_lora_adapter", body)).status).toBe(status);
  });

  test("a server without LoRA says so, at the load and at a request", async () => {
    const { url } = await start({ engine: { adapterSlots: 0 } });
    const load = await post(url, "/v1/load_lora_adapter", { lora_name: "a", lora_path: "/a" });
    expect(JSON.parse(load.text).error.message).toBe("LoRA is not enabled");
    const { status, text } = await post(url, CHAT, chat("x", { model: "sql" }));
    expect([status, JSON.parse(text).error.message]).toEqual([400, "LoRA is not enabled"]);
  });
});

test("the metrics page over HTTP is what our scanner reads, while requests run and wait", async () => {
  const emulator = await start({ engine: { profile: STUCK, sequencesMax: 1 } });
  const requests = ["sql", "base"].map((model) => {
    const request = openPost(emulator.url, CHAT);
    request.end(JSON.stringify(chat("x", { model })));
    return request;
  });
  await engineHolds(emulator, 1, 1);
  const response = await fetch(`${emulator.url}/metrics`);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const facts = new PageFacts();
  const scanner = new PageScanner(vllm);
  scanner.scan(Buffer.from(await response.arrayBuffer()), scanner.createHints(), facts);
  expect(facts).toMatchObject({
    running: 1,
    waiting: 1,
    maxAdapters: 3,
    cacheBlockSize: 16,
    cacheBlocks: 6000,
  });
  expect(facts.kvUtilization).toBeCloseTo(1 / 6000, 12);
  for (const request of requests) request.destroy();
});

test("time to first token is observed once a request", async () => {
  const { url } = await start();
  await post(url, CHAT, chat("x"));
  await post(url, CHAT, chat("x", { stream: true }));
  const samples = parseExposition(await (await fetch(`${url}/metrics`)).text());
  expect(sumOf(samples, "vllm:time_to_first_token_seconds_count")).toBe(2);
});

describe("close", () => {
  test("ends open exchanges as a crash would, and may come twice", async () => {
    const emulator = await start({ engine: { profile: STUCK } });
    const { url } = emulator;
    const request = openPost(emulator.url, CHAT);
    request.end(JSON.stringify(chat("x", { stream: true })));
    const response = await headOf(request);
    const broken = once(response, "error");
    await Promise.all([emulator.close(), emulator.close()]);
    expect(await within(broken, WAIT_MS, "reset")).toMatchObject([{ code: "ECONNRESET" }]);
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });

  test("leaves no timer behind", async () => {
    const emulator = await start({ engine: { profile: STUCK } });
    const request = openPost(emulator.url, CHAT);
    request.end(JSON.stringify(chat("x")));
    await engineHolds(emulator, 1, 0);
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
    const before = timers();
    await emulator.close();
    await engineHolds(emulator, 0, 0);
    expect(timers()).toBeLessThan(before);
  });
});

test("a name that can not stand in a header is refused at the start", async () => {
  await expect(startEmulator({ name: "a\r\nb" })).rejects.toThrow(RangeError);
});

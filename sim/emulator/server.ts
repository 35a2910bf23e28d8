/**
 * HTTP around an engine: OpenAI chat and completions, metrics, models and adapters, in real time. One timer, set to the
 * engine's next event.
 * @module
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Engine, type EngineConfig } from "../engine.ts";
import { stepProfiles } from "../step-time.ts";
import { type Api, EventWriter, errorAnswer, tokenText, wholeAnswer } from "./answers.ts";
import { metricsPage, TtftHistogram } from "./metrics-page.ts";
import { chatText, completionText, promptFacts } from "./prompt.ts";

export interface EmulatorOptions {
  readonly port?: number;
  readonly host?: string;
  /** Name of the server, told in the header x-served-by. */
  readonly name?: string;
  readonly model?: string;
  readonly adapters?: readonly string[];
  readonly engine?: Partial<EngineConfig>;
}

/** Small enough that placement shows, large enough to serve some fifty conversations. */
export const DEMO_ENGINE: EngineConfig = {
  profile: stepProfiles.demo,
  blockSizeTokens: 16,
  blocks: 6000,
  sequencesMax: 32,
  stepTokensMax: 512,
  adapterSlots: 3,
  adapterLoadMs: 500,
  waitingMax: 4096,
};

/** Largest request body, bytes. */
export const BODY_BYTES_MAX = 32 * 1024 * 1024;
const OUTPUT_TOKENS_DEFAULT = 16;
const OUTPUT_TOKENS_MAX = 100_000;
const ADAPTERS_MAX = 1024;

interface Exchange {
  readonly response: ServerResponse;
  readonly startedAtMs: number;
  readonly events: EventWriter | null;
  readonly api: Api;
  readonly model: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly includeUsage: boolean;
  readonly answerId: string;
  readonly created: number;
  text: string;
  cachedTokens: number;
}

/** A request that can not be served, with the status for it. */
class Refusal extends Error {
  readonly status: number;
  readonly type: string;
  constructor(status: number, type: string, message: string) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

export class Emulator {
  readonly engine: Engine;
  readonly name: string;
  readonly #model: string;
  readonly #adapters: Set<string>;
  readonly #server: http.Server;
  readonly #exchanges = new Map<number, Exchange>();
  readonly #sockets = new Set<Socket>();
  readonly #ttft = new TtftHistogram();
  readonly #finished = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #answers = 0;

  constructor(options: EmulatorOptions) {
    this.engine = new Engine({ ...DEMO_ENGINE, ...options.engine });
    this.name = options.name ?? "emulator";
    this.#model = options.model ?? "base";
    this.#adapters = new Set(options.adapters ?? []);
    this.#server = http.createServer((request, response) => {
      this.#route(request, response).catch((error: unknown) => this.#refuse(response, error));
    });
    this.#server.keepAliveTimeout = 75_000;
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return (this.#server.address() as AddressInfo).address;
  }

  get url(): string {
    return `http://${this.address}:${this.port}`;
  }

  /** Exchanges under way. */
  get openExchanges(): number {
    return this.#exchanges.size;
  }

  /** Ends everything at once, as a crash would. */
  close(): Promise<void> {
    clearTimeout(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader("x-served-by", this.name);
    const path = new URL(request.url ?? "/", "http://emulator").pathname;
    switch (`${request.method} ${path}`) {
      case "POST /v1/chat/completions":
        this.#generate("chat", await readJson(request), response);
        return;
      case "POST /v1/completions":
        this.#generate("completion", await readJson(request), response);
        return;
      case "GET /metrics":
        response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8");
        response.end(this.metrics());
        return;
      case "GET /health":
        response.end();
        return;
      case "GET /v1/models":
        sendJson(response, 200, this.#models());
        return;
      case "POST /v1/load_lora_adapter":
        this.#loadAdapter(await readJson(request), response);
        return;
      case "POST /v1/unload_lora_adapter":
        this.#unloadAdapter(await readJson(request), response);
        return;
      default:
        throw new Refusal(404, "NotFoundError", `no route ${request.method} ${path}`);
    }
  }

  /** The page that GET /metrics returns. */
  metrics(): string {
    this.#advance();
    return metricsPage({
      model: this.#model,
      engine: this.engine,
      ttft: this.#ttft,
      finished: this.#finished,
      nowSeconds: Date.now() / 1000,
    });
  }

  // ── generation ────────────────────────────────────────────────────────────────────────────────────────────────

  #generate(api: Api, body: Record<string, unknown>, response: ServerResponse): void {
    const model = body["model"];
    if (typeof model !== "string") throw new Refusal(400, "BadRequestError", "model is required");
    const isAdapter = this.#adapters.has(model);
    if (!isAdapter && model !== this.#model) {
      throw new Refusal(404, "NotFoundError", `The model \`${model}\` does not exist.`);
    }
    const adapter = isAdapter ? model : null;
    const text = promptText(api, body);
    const prompt = promptFacts(text, adapter, this.engine.config.blockSizeTokens);
    const outputTokens = outputTokensOf(body);
    const startedAtMs = performance.now();
    this.#advance();
    const id = this.engine.submit(
      { promptTokens: prompt.tokens, blockHashes: prompt.blockHashes, outputTokens, adapter },
      startedAtMs,
    );
    if (id < 0) {
      throw new Refusal(
        400,
        "BadRequestError",
        `prompt of ${prompt.tokens} tokens and ${outputTokens} output tokens do not fit`,
      );
    }
    const answerId = `cmpl-${this.name}-${++this.#answers}`;
    const created = Math.floor(Date.now() / 1000);
    const streams = body["stream"] === true;
    const options = body["stream_options"] as { include_usage?: unknown } | undefined;
    this.#exchanges.set(id, {
      response,
      startedAtMs,
      events: streams ? new EventWriter({ api, id: answerId, model, created }) : null,
      api,
      model,
      promptTokens: prompt.tokens,
      outputTokens,
      includeUsage: options?.include_usage === true,
      answerId,
      created,
      text: "",
      cachedTokens: 0,
    });
    if (streams) {
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
      response.flushHeaders();
    }
    response.once("close", () => this.#abandon(id));
    this.#schedule();
  }

  /** The client has gone, or the answer is complete: then the id is not known any more. */
  #abandon(id: number): void {
    if (!this.#exchanges.delete(id)) return;
    this.engine.cancel(id);
    this.#count("abort");
    this.#schedule();
  }

  #count(reason: string): void {
    this.#finished.set(reason, (this.#finished.get(reason) ?? 0) + 1);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const nextMs = this.engine.nextEventMs();
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => {
        this.#advance();
        this.#schedule();
      },
      Math.max(0, nextMs - performance.now()),
    );
  }

  #advance(): void {
    this.engine.advance(performance.now(), this);
  }

  /** EngineSink */
  token(id: number, index: number, atMs: number): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    if (index === 0) {
      this.#ttft.observe((atMs - exchange.startedAtMs) / 1000);
      exchange.cachedTokens = this.engine.cachedTokens(id);
    }
    const text = tokenText(index);
    if (exchange.events === null) {
      exchange.text += text;
    } else {
      const isLast = index === exchange.outputTokens - 1;
      exchange.response.write(exchange.events.token(text, isLast ? "length" : null));
    }
  }

  /** EngineSink */
  finished(id: number): void {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return;
    this.#exchanges.delete(id);
    this.#count("length");
    const { api, answerId, created, events, model, response } = exchange;
    const usage = {
      promptTokens: exchange.promptTokens,
      completionTokens: exchange.outputTokens,
      cachedTokens: exchange.cachedTokens,
    };
    if (events !== null) {
      response.end((exchange.includeUsage ? events.usage(usage) : "") + events.done());
      return;
    }
    const body = wholeAnswer({ api, id: answerId, model, created }, exchange.text, usage);
    sendText(response, 200, body);
  }

  // ── models and adapters ───────────────────────────────────────────────────────────────────────────────────────

  #models(): unknown {
    const model = (id: string, parent: string | null): unknown => ({
      id,
      object: "model",
      created: 0,
      owned_by: "emulator",
      root: id,
      parent,
    });
    const adapters = [...this.#adapters].map((name) => model(name, this.#model));
    return { object: "list", data: [model(this.#model, null), ...adapters] };
  }

  #loadAdapter(body: Record<string, unknown>, response: ServerResponse): void {
    const name = body["lora_name"];
    if (typeof name !== "string" || name === "") {
      throw new Refusal(400, "InvalidUserInput", "lora_name is required");
    }
    if (this.#adapters.has(name)) {
      throw new Refusal(400, "InvalidUserInput", `adapter ${name} is already loaded`);
    }
    if (this.#adapters.size >= ADAPTERS_MAX) {
      throw new Refusal(400, "InvalidUserInput", `more than ${ADAPTERS_MAX} adapters`);
    }
    this.#adapters.add(name);
    response.end(`Success: LoRA adapter '${name}' added successfully.`);
  }

  #unloadAdapter(body: Record<string, unknown>, response: ServerResponse): void {
    const name = body["lora_name"];
    if (typeof name !== "string" || !this.#adapters.delete(name)) {
      throw new Refusal(404, "NotFoundError", `adapter ${String(name)} is not loaded`);
    }
    this.engine.adapters.unload(name);
    response.end(`Success: LoRA adapter '${name}' removed successfully.`);
  }

  #refuse(response: ServerResponse, error: unknown): void {
    const status = error instanceof Refusal ? error.status : 500;
    const type = error instanceof Refusal ? error.type : "InternalServerError";
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    sendText(response, status, errorAnswer((error as Error).message, type, status));
  }
}

/** Starts an emulated server; `port` 0 or absent takes a free one. */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const emulator = new Emulator(options);
  await emulator.listen(options.port ?? 0, options.host ?? "127.0.0.1");
  return emulator;
}

function promptText(api: Api, body: Record<string, unknown>): string {
  try {
    return api === "chat" ? chatText(body["messages"]) : completionText(body["prompt"]);
  } catch (error) {
    throw new Refusal(400, "BadRequestError", (error as Error).message);
  }
}

function outputTokensOf(body: Record<string, unknown>): number {
  const value = body["max_completion_tokens"] ?? body["max_tokens"] ?? OUTPUT_TOKENS_DEFAULT;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1) {
    throw new Refusal(
      400,
      "BadRequestError",
      `max_tokens must be at least 1, got ${String(value)}`,
    );
  }
  return Math.min(value, OUTPUT_TOKENS_MAX);
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) {
      throw new Refusal(413, "BadRequestError", `body is larger than ${BODY_BYTES_MAX} bytes`);
    }
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw new Refusal(400, "BadRequestError", (error as Error).message);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal(400, "BadRequestError", "body must be a JSON object");
  }
  return value as Record<string, unknown>;
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendText(response, status, JSON.stringify(value));
}

function sendText(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

/**
 * HTTP around an engine: OpenAI chat and completions, metrics, models and adapters, in real time. One timer, set to the
 * engine's next event.
 *
 *   POST ──body──▶ engine.submit ──▶ exchange ──token, finished──▶ answer
 *                                       └──client has gone, or reads nothing──▶ engine.cancel
 * @module
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Engine, type EngineConfig, type EngineSink, type Rejection } from "../engine.ts";
import { stepProfiles } from "../step-time.ts";
import {
  type AnswerShape,
  type Api,
  EventWriter,
  errorAnswer,
  tokenText,
  wholeAnswer,
} from "./answers.ts";
import { type Generation, readGeneration } from "./generation.ts";
import { type FinishReason, metricsPage, TtftHistogram } from "./metrics-page.ts";
import { type PromptFacts, promptFacts } from "./prompt.ts";
import { type BodyLimits, BodyReader } from "./read-body.ts";
import { badRequest, Refusal, shown } from "./refusal.ts";

/** Bounds of an emulated server. */
export interface EmulatorLimits extends BodyLimits {
  /** Connections at one time; more are closed at once. */
  readonly connectionsMax: number;
  /** Bytes of an answer that its client has not read; a client with more is cut off. */
  readonly unsentBytesMax: number;
  /** Adapters that can be asked for. */
  readonly adaptersMax: number;
  /** Length of an adapter's name, characters. */
  readonly adapterNameMax: number;
}

const MEBIBYTE = 1024 * 1024;

const emulatorLimits: EmulatorLimits = {
  bodyBytesMax: 32 * MEBIBYTE,
  bodiesBytesMax: 256 * MEBIBYTE,
  connectionsMax: 8192,
  unsentBytesMax: MEBIBYTE,
  adaptersMax: 1024,
  adapterNameMax: 256,
};

export interface EmulatorOptions {
  readonly port?: number;
  readonly host?: string;
  /** Name of the server, told in the header x-served-by. */
  readonly name?: string;
  readonly model?: string;
  readonly adapters?: readonly string[];
  readonly engine?: Partial<EngineConfig>;
  readonly limits?: Partial<EmulatorLimits>;
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

/** Longer than the pause between two turns of a conversation, so that a gateway keeps its connections. */
const KEEP_ALIVE_MS = 75_000;

/** One generation under way. */
interface Exchange {
  readonly response: ServerResponse;
  readonly startedAtMs: number;
  readonly shape: AnswerShape;
  readonly generation: Generation;
  readonly promptTokens: number;
  /** Null when the answer comes in one piece. */
  readonly events: EventWriter | null;
  /** The answer so far, when it comes in one piece. */
  text: string;
  cachedTokens: number;
}

export class Emulator implements EngineSink {
  readonly engine: Engine;
  readonly name: string;
  readonly #limits: EmulatorLimits;
  readonly #model: string;
  /** Adapters that can be asked for; those in the engine's slots are some of them. */
  readonly #adapters: Set<string>;
  readonly #bodies: BodyReader;
  readonly #server: http.Server;
  readonly #exchanges = new Map<number, Exchange>();
  readonly #ttft = new TtftHistogram();
  readonly #finished: Record<FinishReason, number> = { abort: 0, length: 0 };
  #timer: NodeJS.Timeout | undefined;
  #answers = 0;
  #isClosed = false;

  /** @throws {RangeError} when a bound of the engine is out of range or the name can not stand in a header */
  constructor(options: EmulatorOptions) {
    this.engine = new Engine({ ...DEMO_ENGINE, ...options.engine });
    this.name = options.name ?? "emulator";
    if (!/^[\w.-]+$/.test(this.name)) {
      throw new RangeError(`emulator: name must be letters, digits and _.-, got "${this.name}"`);
    }
    this.#limits = { ...emulatorLimits, ...options.limits };
    this.#model = options.model ?? "base";
    this.#adapters = new Set(options.adapters ?? []);
    this.#bodies = new BodyReader(this.#limits);
    this.#server = http.createServer((request, response) => {
      this.#route(request, response).catch((error: unknown) => this.#refuse(response, error));
    });
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.maxConnections = this.#limits.connectionsMax;
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
    this.#isClosed = true;
    clearTimeout(this.#timer);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader("x-served-by", this.name);
    const route = `${request.method} ${request.url!.split("?", 1)[0]}`;
    switch (route) {
      case "POST /v1/chat/completions":
        this.#generate("chat", await this.#bodies.readObject(request), response);
        return;
      case "POST /v1/completions":
        this.#generate("completion", await this.#bodies.readObject(request), response);
        return;
      case "GET /metrics":
        send(response, 200, "text/plain; version=0.0.4; charset=utf-8", this.metrics());
        return;
      case "GET /health":
        response.end();
        return;
      case "GET /v1/models":
        sendJson(response, 200, JSON.stringify(this.#models()));
        return;
      case "POST /v1/load_lora_adapter":
        this.#loadAdapter(await this.#bodies.readObject(request), response);
        return;
      case "POST /v1/unload_lora_adapter":
        this.#unloadAdapter(await this.#bodies.readObject(request), response);
        return;
      default:
        throw new Refusal(404, "NotFoundError", `no route ${route}`);
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
    const generation = readGeneration(api, body);
    const { cacheSalt, model, outputTokens, streams } = generation;
    const isAdapter = this.#adapters.has(model);
    if (!isAdapter && model !== this.#model) {
      throw new Refusal(404, "NotFoundError", `The model ${shown(model)} does not exist.`);
    }
    // A client that left after its body is not told again.
    if (response.destroyed) return;
    const adapter = isAdapter ? model : null;
    const { blockSizeTokens } = this.engine.config;
    const prompt = promptFacts(generation.prompt, { adapter, cacheSalt }, blockSizeTokens);
    const startedAtMs = performance.now();
    this.engine.advance(startedAtMs, this);
    const id = this.engine.submit(
      { promptTokens: prompt.tokens, blockHashes: prompt.blockHashes, outputTokens, adapter },
      startedAtMs,
    );
    if (typeof id === "string") throw this.#rejection(id, generation, prompt);
    const shape = {
      api,
      id: `${api === "chat" ? "chatcmpl" : "cmpl"}-${this.name}-${++this.#answers}`,
      model,
      created: Math.floor(Date.now() / 1000),
    };
    this.#exchanges.set(id, {
      response,
      startedAtMs,
      shape,
      generation,
      promptTokens: prompt.tokens,
      events: streams ? new EventWriter(shape) : null,
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

  #rejection(reason: Rejection, generation: Generation, prompt: PromptFacts): Refusal {
    switch (reason) {
      case "queue-full":
        return new Refusal(503, "ServiceUnavailableError", "the queue is full");
      case "no-adapter-slots":
        return badRequest("LoRA is not enabled");
      case "too-long": {
        const { outputTokens } = generation;
        return badRequest(
          `This model's maximum context length is ${this.engine.contextTokensMax} tokens. However, you requested ` +
            `${prompt.tokens + outputTokens} tokens (${prompt.tokens} in the prompt, ${outputTokens} in the answer).`,
        );
      }
    }
  }

  /** The client has gone, or the answer is complete: then the id is not known any more. */
  #abandon(id: number): void {
    if (!this.#exchanges.delete(id)) return;
    this.engine.cancel(id, performance.now());
    this.#finished.abort++;
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const nextMs = this.engine.nextEventMs();
    if (this.#isClosed || nextMs === Number.POSITIVE_INFINITY) return;
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

  token(id: number, index: number, atMs: number): void {
    const exchange = this.#exchanges.get(id)!;
    const { events, generation, response, startedAtMs } = exchange;
    if (index === 0) {
      this.#ttft.observe((atMs - startedAtMs) / 1000);
      exchange.cachedTokens = this.engine.cachedTokens(id);
    }
    const text = tokenText(index);
    if (events === null) {
      exchange.text += text;
      return;
    }
    const isLast = index === generation.outputTokens - 1;
    response.write((index === 0 ? events.start() : "") + events.token(text, isLast));
    if (response.writableLength > this.#limits.unsentBytesMax) {
      response.destroy();
      this.#abandon(id);
    }
  }

  finished(id: number): void {
    const exchange = this.#exchanges.get(id)!;
    this.#exchanges.delete(id);
    this.#finished.length++;
    const { cachedTokens, events, generation, promptTokens, response, shape, text } = exchange;
    const usage = { promptTokens, completionTokens: generation.outputTokens, cachedTokens };
    if (events === null) sendJson(response, 200, wholeAnswer(shape, text, usage));
    else response.end((generation.includeUsage ? events.usage(usage) : "") + events.done());
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
      max_model_len: this.engine.contextTokensMax,
    });
    const adapters = [...this.#adapters].map((name) => model(name, this.#model));
    return { object: "list", data: [model(this.#model, null), ...adapters] };
  }

  /** Makes an adapter known; as in a server with many, the engine loads it when it is asked for. */
  #loadAdapter(body: Record<string, unknown>, response: ServerResponse): void {
    const { lora_name: name, lora_path: path } = body;
    if (typeof name !== "string" || name === "" || typeof path !== "string" || path === "") {
      throw invalidInput("Both 'lora_name' and 'lora_path' must be provided.");
    }
    const { adapterNameMax, adaptersMax } = this.#limits;
    if (name.length > adapterNameMax) {
      throw invalidInput(`lora_name is longer than ${adapterNameMax} characters`);
    }
    if (this.engine.config.adapterSlots === 0) throw invalidInput("LoRA is not enabled");
    if (name === this.#model || this.#adapters.has(name)) {
      throw invalidInput(`The lora adapter ${shown(name)} has already been loaded.`);
    }
    if (this.#adapters.size >= adaptersMax) throw invalidInput(`more than ${adaptersMax} adapters`);
    this.#adapters.add(name);
    send(response, 200, "text/plain", `Success: LoRA adapter '${name}' added successfully.`);
  }

  #unloadAdapter({ lora_name: name }: Record<string, unknown>, response: ServerResponse): void {
    if (typeof name !== "string" || name === "") {
      throw invalidInput("'lora_name' needs to be provided to unload a LoRA adapter.");
    }
    if (!this.#adapters.delete(name)) {
      throw new Refusal(404, "NotFoundError", `The lora adapter ${shown(name)} cannot be found.`);
    }
    // One in use keeps its slot until its requests have ended and another adapter needs it.
    this.engine.adapters.unload(name);
    send(response, 200, "text/plain", `Success: LoRA adapter '${name}' removed successfully.`);
  }

  #refuse(response: ServerResponse, error: unknown): void {
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const { message, status, type } =
      error instanceof Refusal
        ? error
        : new Refusal(500, "InternalServerError", (error as Error).message);
    sendJson(response, status, errorAnswer(message, type, status));
  }
}

/** Starts an emulated server; `port` 0 or absent takes a free one. */
export async function startEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const emulator = new Emulator(options);
  await emulator.listen(options.port ?? 0, options.host ?? "127.0.0.1");
  return emulator;
}

function invalidInput(message: string): Refusal {
  return new Refusal(400, "InvalidUserInput", message);
}

function sendJson(response: ServerResponse, status: number, body: string): void {
  send(response, status, "application/json", body);
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

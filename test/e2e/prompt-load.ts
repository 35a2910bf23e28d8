/**
 * Prompts of one size at a rate, open loop: they leave on schedule whatever the answers do. All frames are made beforehand,
 * so that the generator is not what is measured; how late its own event loop was is part of the result.
 * @module
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { delay } from "../support/deadline.ts";
import { requestTemplates } from "../support/exchange-templates.ts";
import { ExtProcConnection } from "../support/ext-proc-connection.ts";
import type { FrameTemplate } from "../support/frame-template.ts";
import { PROMPT_MARK, type PromptApi, promptBody, seededRandom } from "./long-prompt.ts";
import { PromptExchange } from "./prompt-exchange.ts";

export interface PromptLoadOptions {
  /** Of ext_proc. */
  readonly port: number;
  readonly promptBytes: number;
  /** Prompts a second. */
  readonly rate: number;
  /** Random gaps meet whatever else the server does at all of its moments, even ones might always miss it. */
  readonly gaps: "even" | "random";
  /** Exchanges one after the other before the load is ready. */
  readonly warmUps: number;
}

export interface PromptLoadResult {
  readonly requests: number;
  readonly failed: number;
  readonly reasons: readonly string[];
  /** From the last byte sent to the reply, in the order of the replies. */
  readonly pickMs: readonly number[];
  /** How much later than due the event loop of the generator ran. */
  readonly lagMs: { readonly p99: number; readonly max: number };
}

const APIS: readonly PromptApi[] = ["completions", "chat"];
const DISTINCT_BODIES = 4;
/** Body bytes of the messages, in turn, as Envoy reads them from its sockets. */
const PIECE_BYTES = [32, 48, 64].map((kib) => kib * 1024);
const REASONS_MAX = 5;
const LAG_RESOLUTION_MS = 1;
const NS_PER_MS = 1e6;

interface Prompt {
  readonly templates: readonly FrameTemplate[];
  readonly bodyBytes: number;
}

function piecesOf(body: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const piece = body.subarray(at, at + PIECE_BYTES[pieces.length % PIECE_BYTES.length]!);
    pieces.push(piece);
    at += piece.length;
  }
  return pieces;
}

function promptOf(api: PromptApi, seed: number, bytes: number): Prompt {
  const body = promptBody(api, seed, bytes);
  const path = api === "chat" ? "/v1/chat/completions" : "/v1/completions";
  return { templates: requestTemplates(path, piecesOf(body)), bodyBytes: body.length };
}

export class PromptLoad {
  readonly #options: PromptLoadOptions;
  /** One for each API, as a gateway with two workers has them. */
  readonly #connections: readonly ExtProcConnection[];
  readonly #prompts: readonly Prompt[];
  #count = 0;
  readonly #pickMs: number[] = [];
  readonly #failures: string[] = [];

  private constructor(
    options: PromptLoadOptions,
    connections: readonly ExtProcConnection[],
    prompts: readonly Prompt[],
  ) {
    this.#options = options;
    this.#connections = connections;
    this.#prompts = prompts;
  }

  /** Connects, makes the prompts and warms up. */
  static async ready(options: PromptLoadOptions): Promise<PromptLoad> {
    const connections = await Promise.all(APIS.map(() => ExtProcConnection.open(options.port)));
    const prompts = Array.from({ length: DISTINCT_BODIES * APIS.length }, (_, i) =>
      promptOf(APIS[i % APIS.length]!, i, options.promptBytes),
    );
    const load = new PromptLoad(options, connections, prompts);
    for (let i = 0; i < options.warmUps; i++) await load.#one();
    load.#pickMs.length = 0;
    return load;
  }

  async run(seconds: number): Promise<PromptLoadResult> {
    const { rate, gaps } = this.#options;
    const random = seededRandom(rate);
    const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
    lag.enable();
    const open: Promise<void>[] = [];
    const begin = performance.now();
    for (let dueMs = 0; dueMs < seconds * 1000; ) {
      const waitMs = begin + dueMs - performance.now();
      if (waitMs > 0) await delay(waitMs);
      open.push(this.#one());
      dueMs += ((gaps === "even" ? 1 : -Math.log(1 - random())) * 1000) / rate;
    }
    await Promise.all(open);
    lag.disable();
    const late = (ns: number): number => Math.max(0, ns / NS_PER_MS - LAG_RESOLUTION_MS);
    const pickMs = this.#pickMs.splice(0);
    const failures = this.#failures.splice(0);
    return {
      requests: open.length,
      failed: failures.length,
      reasons: [...new Set(failures)].slice(0, REASONS_MAX),
      pickMs,
      lagMs: { p99: late(lag.percentile(99)), max: late(lag.max) },
    };
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  async #one(): Promise<void> {
    const index = this.#count++;
    const { templates, bodyBytes } = this.#prompts[index % this.#prompts.length]!;
    const mark = `Conversation-${String(index).padStart(10, "0")}`;
    const [first, ...rest] = templates;
    const exchange = new PromptExchange(
      this.#connections[index % this.#connections.length]!,
      [first!.marked(PROMPT_MARK, mark), ...rest],
      bodyBytes,
    );
    void exchange.pickMs.then((ms) => this.#pickMs.push(ms));
    await exchange.done.catch((error: Error) => this.#failures.push(error.message));
  }
}

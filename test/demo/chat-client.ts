/**
 * Sends the planned conversations through a gateway and measures what a client sees: time to first token, errors, and
 * which server answered.
 * @module
 */
import { Agent, request as httpRequest } from "node:http";
import { delay } from "../support/deadline.ts";
import type { Conversation } from "./traffic.ts";

/** A request without an answer for this long is an error. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Errors kept for the report; the rest are counted only. */
const ERRORS_KEPT = 5;

export interface ChatFigures {
  sent: number;
  finished: number;
  errors: number;
  /** The first few, as text. */
  readonly errorTexts: string[];
  /** Time to first token of each finished request, ms, in order of completion. */
  readonly ttftMs: number[];
  /** Requests by the server that began to answer. */
  readonly picks: Map<string, number>;
}

interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

interface Answer {
  readonly text: string;
  readonly ttftMs: number;
}

/** Text of the content deltas of one server-sent events body. */
function contentOf(events: string): string {
  let text = "";
  for (const line of events.split("\n")) {
    if (!line.startsWith("data: {")) continue;
    const event = JSON.parse(line.slice("data: ".length)) as {
      choices?: { delta?: { content?: string | null } }[];
    };
    text += event.choices?.[0]?.delta?.content ?? "";
  }
  return text;
}

export class ChatClient {
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true });
  readonly figures: ChatFigures = {
    sent: 0,
    finished: 0,
    errors: 0,
    errorTexts: [],
    ttftMs: [],
    picks: new Map(),
  };

  /** @param url base URL of the gateway */
  constructor(url: string) {
    this.#url = new URL(url);
  }

  /**
   * Plays the conversations; no new turn starts after `seconds`, what is under way then is finished.
   */
  async play(conversations: readonly Conversation[], seconds: number): Promise<void> {
    const begin = performance.now();
    const stopAtMs = begin + seconds * 1000;
    await Promise.all(
      conversations.map(async (conversation) => {
        await delay(conversation.startsAtMs);
        await this.#converse(conversation, stopAtMs);
      }),
    );
    this.#agent.destroy();
  }

  async #converse(conversation: Conversation, stopAtMs: number): Promise<void> {
    const messages: Message[] = [{ role: "system", content: conversation.system }];
    for (const turn of conversation.turns) {
      if (turn.thinkMs > 0) await delay(turn.thinkMs);
      if (performance.now() >= stopAtMs) return;
      messages.push({ role: "user", content: turn.user });
      const { figures } = this;
      figures.sent++;
      try {
        const answer = await this.#ask(conversation.model, messages, turn.maxTokens);
        figures.finished++;
        figures.ttftMs.push(answer.ttftMs);
        messages.push({ role: "assistant", content: answer.text });
      } catch (error) {
        figures.errors++;
        if (figures.errorTexts.length < ERRORS_KEPT) {
          figures.errorTexts.push((error as Error).message);
        }
        return;
      }
    }
  }

  #ask(model: string, messages: readonly Message[], maxTokens: number): Promise<Answer> {
    const body = Buffer.from(
      JSON.stringify({ model, messages, max_tokens: maxTokens, stream: true }),
    );
    const startedAtMs = performance.now();
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        {
          agent: this.#agent,
          host: this.#url.hostname,
          port: this.#url.port,
          path: "/v1/chat/completions",
          method: "POST",
          headers: { "content-type": "application/json", "content-length": body.length },
          timeout: REQUEST_TIMEOUT_MS,
        },
        (response) => {
          const server = String(response.headers["x-served-by"] ?? "unknown");
          const { picks } = this.figures;
          picks.set(server, (picks.get(server) ?? 0) + 1);
          let ttftMs = -1;
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => {
            if (ttftMs < 0) ttftMs = performance.now() - startedAtMs;
            text += chunk;
          });
          response.on("error", reject);
          response.on("end", () => {
            if (response.statusCode !== 200) {
              reject(new Error(`status ${response.statusCode}: ${text.slice(0, 200)}`));
              return;
            }
            if (!text.endsWith("data: [DONE]\n\n")) {
              reject(new Error(`stream without its end: ${text.slice(-200)}`));
              return;
            }
            try {
              resolve({ text: contentOf(text), ttftMs });
            } catch (error) {
              reject(error);
            }
          });
        },
      );
      request.on("timeout", () => request.destroy(new Error("no answer in time")));
      request.on("error", reject);
      request.end(body);
    });
  }
}

/** The value below which a share of the figures lies; 0 without figures. */
export function percentile(figures: readonly number[], share: number): number {
  if (figures.length === 0) return 0;
  const sorted = Float64Array.from(figures).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

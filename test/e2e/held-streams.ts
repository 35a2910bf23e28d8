/**
 * Exchanges that stay open as those of long answers do: the request is picked, the answer's headers are there, and a chunk
 * of the answer comes now and then.
 *
 *   request ──pick and body back──▶ answering ──header reply──▶ held ──chunk ⇄ reply──▶ … ──last chunk──▶ over
 *
 * What the server does otherwise is a failure of the exchange.
 * @module
 */
import { delay, until } from "../support/deadline.ts";
import { answerHead, answerPiece, requestTemplates } from "../support/exchange-templates.ts";
import { ExtProcConnection } from "../support/ext-proc-connection.ts";
import type { ScannedReply } from "../support/reply-scan.ts";

/** Exchanges of one connection that are being opened at a time. */
const OPENING_MAX = 64;
const STEP_TIMEOUT_MS = 60_000;
const TICK_MS = 10;
const REASONS_MAX = 5;

const BODY = Buffer.from(
  JSON.stringify({ model: "base", stream: true, prompt: "Tell me a story. ".repeat(20) }),
);
const CHUNK = Buffer.from(`data: {"choices":[{"text":"${"and then ".repeat(16)}"}]}\n\n`);

const REQUEST = requestTemplates("/v1/completions", [BODY]);
const MORE = answerPiece(CHUNK, false);
const LAST = answerPiece(CHUNK, true);

type Phase = "request" | "answering" | "held" | "over";

class HeldStream {
  phase: Phase = "request";
  /** A chunk has been sent whose reply has not come. */
  isAwaiting = false;
  id = 0;
  readonly connection: ExtProcConnection;
  readonly #onPhase: () => void;
  readonly #onFailure: (reason: string) => void;
  #bodyBytes = 0;

  constructor(
    connection: ExtProcConnection,
    onPhase: () => void,
    onFailure: (reason: string) => void,
  ) {
    this.connection = connection;
    this.#onPhase = onPhase;
    this.#onFailure = onFailure;
  }

  open(): void {
    this.id = this.connection.open(
      { reply: (reply) => this.#onReply(reply), ended: (reason) => this.fail(reason) },
      ...REQUEST,
    );
  }

  /** Sends the next chunk of the answer. */
  chunk(isLast: boolean): void {
    if (this.isAwaiting) {
      this.fail("no reply to a chunk before the next");
      return;
    }
    this.isAwaiting = true;
    this.connection.send(this.id, isLast ? LAST : MORE);
  }

  /** Leaves as a gateway does, whatever has come. */
  leave(): void {
    this.phase = "over";
    this.connection.reset(this.id);
  }

  fail(reason: string): void {
    if (this.phase === "over") return;
    this.#onFailure(`${this.phase}: ${reason}`);
    this.leave();
    this.#onPhase();
  }

  #onReply({ kind, bodyBytes }: ScannedReply): void {
    if (this.phase === "request" && kind === "requestHeaders") return;
    if (this.phase === "request" && kind === "requestBody") {
      this.#bodyBytes += bodyBytes;
      if (this.#bodyBytes < BODY.length) return;
      this.phase = "answering";
      this.connection.send(this.id, answerHead);
    } else if (this.phase === "answering" && kind === "responseHeaders") {
      this.phase = "held";
      this.#onPhase();
    } else if (this.isAwaiting && kind === "responseBody" && bodyBytes === CHUNK.length) {
      this.isAwaiting = false;
    } else {
      this.fail(`unexpected reply ${kind} with ${bodyBytes} bytes`);
    }
  }
}

export class HeldStreams {
  readonly #connections: readonly ExtProcConnection[];
  readonly #streams: HeldStream[] = [];
  readonly #reasons = new Map<string, number>();
  #failed = 0;
  #next = 0;

  private constructor(connections: readonly ExtProcConnection[]) {
    this.#connections = connections;
  }

  static async connect(port: number, connections: number): Promise<HeldStreams> {
    const open = Array.from({ length: connections }, () => ExtProcConnection.open(port));
    return new HeldStreams(await Promise.all(open));
  }

  get failed(): number {
    return this.#failed;
  }

  /** The most frequent reasons of failures, each with how often. */
  get reasons(): string[] {
    const sorted = [...this.#reasons].sort((a, b) => b[1] - a[1]).slice(0, REASONS_MAX);
    return sorted.map(([reason, count]) => `${count} × ${reason}`);
  }

  get held(): number {
    return this.#streams.filter(({ phase }) => phase === "held").length;
  }

  /** Opens so many, and waits until each is held or has failed. */
  async open(count: number): Promise<void> {
    let left = count;
    let unsettled = count;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${unsettled} of ${count} streams did not open`)),
        STEP_TIMEOUT_MS,
      );
      const openOn = (connection: ExtProcConnection): void => {
        if (left === 0) return;
        left--;
        const stream = new HeldStream(
          connection,
          () => {
            if (isSettled) return;
            isSettled = true;
            if (--unsettled > 0) return openOn(connection);
            clearTimeout(timer);
            resolve();
          },
          (reason) => this.#onFailure(reason),
        );
        let isSettled = false;
        this.#streams.push(stream);
        stream.open();
      };
      for (let i = 0; i < OPENING_MAX; i++) this.#connections.forEach(openOn);
    });
  }

  /** For so long each stream gets a chunk every `intervalMs`, one after the other. */
  async hold(ms: number, intervalMs: number): Promise<void> {
    const begin = performance.now();
    const perMs = this.#streams.length / intervalMs;
    for (let sent = 0; ; ) {
      const elapsedMs = performance.now() - begin;
      if (elapsedMs >= ms) return;
      for (const due = Math.floor(elapsedMs * perMs); sent < due; sent++) this.#chunkOfNext();
      await delay(TICK_MS);
    }
  }

  /** Half of the answers come to their end, of the others the client leaves; then all exchanges are reset. */
  async close(): Promise<void> {
    await this.#allReplied();
    this.#streams.forEach((stream, i) => {
      if (stream.phase === "held" && i % 2 === 0) stream.chunk(true);
    });
    await this.#allReplied();
    for (const stream of this.#streams.splice(0)) stream.leave();
  }

  disconnect(): void {
    for (const connection of this.#connections) connection.close();
  }

  #chunkOfNext(): void {
    const stream = this.#streams[this.#next];
    this.#next = (this.#next + 1) % this.#streams.length;
    if (stream?.phase === "held") stream.chunk(false);
  }

  async #allReplied(): Promise<void> {
    const isAwaited = (stream: HeldStream): boolean => stream.phase === "held" && stream.isAwaiting;
    const replied = until(
      () => (this.#streams.some(isAwaited) ? null : true),
      STEP_TIMEOUT_MS,
      "replies to the last chunks",
    );
    await replied.catch((error: Error) => {
      for (const stream of this.#streams.filter(isAwaited)) stream.fail(error.message);
    });
  }

  #onFailure(reason: string): void {
    this.#failed++;
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
  }
}

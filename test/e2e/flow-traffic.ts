/**
 * Traffic of three priorities and five tenants, planned from a seed, so that each arm gets the same requests at the same
 * times, and the client that sends them whatever becomes of those before.
 *
 *   high   few, long prompts, streamed: somebody waits for the first token
 *   mid    five tenants, together more than is left for them, one of them twice as much as each other
 *   low    what is left over, and more
 * @module
 */
import { Agent, request as httpRequest } from "node:http";
import { type Random, SeededRandom } from "../../scheduler/random.ts";
import { delay } from "../support/deadline.ts";

export const MODEL = "base";
export const TENANTS = ["tenant-a", "tenant-b", "tenant-c", "tenant-d", "tenant-e"] as const;
/** Of the requests of the tenants; the first asks for twice as much as the others. */
const TENANT_SHARES = [2, 1, 1, 1, 1] as const;

export type Band = "high" | "mid" | "low";
export const BANDS: readonly Band[] = ["high", "mid", "low"];

/** Tokens; 4 characters of a prompt are one. */
const SHAPES: Readonly<Record<Band, { readonly prompt: number; readonly output: number }>> = {
  high: { prompt: 3800, output: 32 },
  mid: { prompt: 64, output: 256 },
  low: { prompt: 64, output: 256 },
};
const CHARS_PER_TOKEN = 4;
/** Who waits longer leaves; the picker is to have answered long before. */
export const CLIENT_PATIENCE_MS = 20_000;

export interface PlannedRequest {
  readonly atMs: number;
  readonly band: Band;
  /** Fairness id, "" = none. */
  readonly tenant: string;
  readonly id: number;
}

/** Requests a second, by band. */
export type Rates = Readonly<Record<Band, number>>;

/** Poisson arrivals in order of time. */
export function planRequests(seed: number, seconds: number, rates: Rates): PlannedRequest[] {
  const planned: PlannedRequest[] = [];
  let id = 0;
  const add = (random: Random, rate: number, band: Band, tenant: string): void => {
    if (rate === 0) return;
    for (let atMs = 0; ; ) {
      atMs += (-Math.log(1 - random.next()) * 1000) / rate;
      if (atMs >= seconds * 1000) return;
      planned.push({ atMs, band, tenant, id: id++ });
    }
  };
  // A generator for each, so that the arrivals of one do not move with the rate of another.
  add(new SeededRandom(seed), rates.high, "high", "");
  const shares = TENANT_SHARES.reduce<number>((sum, share) => sum + share, 0);
  for (const [i, tenant] of TENANTS.entries()) {
    add(new SeededRandom(seed + 1 + i), (rates.mid * TENANT_SHARES[i]!) / shares, "mid", tenant);
  }
  add(new SeededRandom(seed + 10), rates.low, "low", "");
  return planned.sort((a, b) => a.atMs - b.atMs);
}

/** How a request ended. */
export interface FlowOutcome {
  readonly band: Band;
  readonly tenant: string;
  /** HTTP status; 0 = no answer: the connection broke, or patience ended. */
  readonly status: number;
  /** x-llm-d-request-dropped-reason, "" = none. */
  readonly reason: string;
  readonly retryAfter: string;
  /** To the first byte of the body. */
  readonly ttftMs: number;
  readonly totalMs: number;
  /** Since the first request was due. */
  readonly endedAtMs: number;
}

function bodyOf({ band, id }: PlannedRequest): Buffer {
  const { output, prompt } = SHAPES[band];
  // Told apart from the first block on, so that no prompt is in anybody's cache.
  const text = `${id} of ${band} `.padEnd(prompt * CHARS_PER_TOKEN, "la ");
  const stream = band === "high";
  return Buffer.from(JSON.stringify({ model: MODEL, prompt: text, max_tokens: output, stream }));
}

/** Sends one request; never rejects. */
function send(url: URL, agent: Agent, planned: PlannedRequest): Promise<FlowOutcome> {
  const { band, tenant } = planned;
  const body = bodyOf(planned);
  const startedAtMs = performance.now();
  return new Promise((resolve) => {
    let ttftMs = Number.NaN;
    let reason = "";
    let retryAfter = "";
    const settle = (status: number): void => {
      clearTimeout(patience);
      const totalMs = performance.now() - startedAtMs;
      const endedAtMs = planned.atMs + totalMs;
      resolve({ band, tenant, status, reason, retryAfter, ttftMs, totalMs, endedAtMs });
    };
    const request = httpRequest(
      {
        agent,
        host: url.hostname,
        port: url.port,
        path: "/v1/completions",
        method: "POST",
        headers: {
          "content-type": "application/json",
          "content-length": body.length,
          "x-llm-d-inference-objective": band,
          ...(tenant === "" ? {} : { "x-llm-d-inference-fairness-id": tenant }),
        },
      },
      (response) => {
        reason = String(response.headers["x-llm-d-request-dropped-reason"] ?? "");
        retryAfter = String(response.headers["retry-after"] ?? "");
        response.on("data", () => {
          if (Number.isNaN(ttftMs)) ttftMs = performance.now() - startedAtMs;
        });
        response.on("error", () => settle(0));
        response.on("end", () => settle(response.statusCode ?? 0));
      },
    );
    const patience = setTimeout(
      () => request.destroy(new Error("patience ended")),
      CLIENT_PATIENCE_MS,
    );
    request.on("error", () => settle(0));
    request.end(body);
  });
}

/** Sends what is planned when it is due, and waits for all ends. */
export async function playRequests(
  gateway: string,
  planned: readonly PlannedRequest[],
): Promise<FlowOutcome[]> {
  const url = new URL(gateway);
  const agent = new Agent({ keepAlive: true });
  const begin = performance.now();
  const open: Promise<FlowOutcome>[] = [];
  for (const one of planned) {
    const waitMs = begin + one.atMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
    open.push(send(url, agent, one));
  }
  const outcomes = await Promise.all(open);
  agent.destroy();
  return outcomes;
}

/** Some of its requests last so long; they are begun over this time, so that they do not end in waves. */
const RAMP_MS = 4000;
/** Ends are counted from here on. */
const SETTLED_AFTER_MS = 2 * RAMP_MS;

/** Requests of the middle band that end in a second when so many are always open. */
export async function measureCapacity(
  gateway: string,
  concurrency: number,
  seconds: number,
): Promise<number> {
  const url = new URL(gateway);
  const agent = new Agent({ keepAlive: true });
  const begin = performance.now();
  const endMs = begin + seconds * 1000;
  const endedAtMs: number[] = [];
  let id = 1_000_000;
  await Promise.all(
    Array.from({ length: concurrency }, async (_, i) => {
      await delay((RAMP_MS * i) / concurrency);
      while (performance.now() < endMs) {
        const planned = { atMs: 0, band: "mid", tenant: "", id: id++ } as const;
        const { status } = await send(url, agent, planned);
        if (status !== 200) throw new Error(`status ${status} while the capacity was measured`);
        endedAtMs.push(performance.now());
      }
    }),
  );
  agent.destroy();
  const startMs = begin + SETTLED_AFTER_MS;
  const inside = endedAtMs.filter((atMs) => atMs >= startMs && atMs <= endMs);
  return (inside.length / (endMs - startMs)) * 1000;
}

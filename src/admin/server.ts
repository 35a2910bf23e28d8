/**
 * HTTP for people and probes: /metrics, /healthz, /readyz and the debug pages. Reading only, never on the data plane.
 * @module
 */
import type { AddressInfo } from "node:net";
import { type FastifyInstance, fastify } from "fastify";
import type { Metrics } from "../metrics/metrics.ts";

/** State of one plugin for /debug/plugins/state: what it dumps, or a sentence why there is none. */
export interface PluginState {
  readonly name: string;
  readonly type: string;
  readonly state?: unknown;
  readonly message?: string;
}

export interface AdminOptions {
  readonly metrics: Metrics;
  isReady(): boolean;
  /** Bounded state of plugins and resources, by name; for /debug/plugins/state. */
  pluginsState(): Readonly<Record<string, PluginState>>;
  /** Decision records, newest first; for /debug/decisions. */
  decisions(limit: number): readonly unknown[];
}

const DECISIONS_PER_PAGE = 20;
const DECISIONS_PER_PAGE_MAX = 100;
/** A request that is not whole by then is dropped: the port is open to whoever reaches it. */
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 256;

/** Path → methods, as the Allow header names them. */
const PAGES: ReadonlyMap<string, readonly string[]> = new Map([
  ["/metrics", ["GET", "HEAD"]],
  ["/healthz", ["GET", "HEAD"]],
  ["/readyz", ["GET", "HEAD"]],
  ["/debug/plugins/state", ["GET"]],
  ["/debug/decisions", ["GET"]],
]);

/** Builds the server; the caller listens and closes. */
export function createAdminServer(options: AdminOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: 1024,
    forceCloseConnections: true,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  server.server.maxConnections = CONNECTIONS_MAX;
  // Before routing results count and bodies are looked at: any method with any body gets the same answer.
  server.addHook("onRequest", async (request, reply) => {
    const allowed = PAGES.get(request.url.split("?")[0]!);
    if (allowed === undefined || allowed.includes(request.method)) return;
    const allow = allowed.join(", ");
    await reply.code(405).header("allow", allow).type("text/plain").send(`use ${allow}\n`);
  });
  server.get("/metrics", async (_request, reply) => {
    reply.type("text/plain; version=0.0.4; charset=utf-8");
    return options.metrics.render();
  });
  server.get("/healthz", async () => "ok");
  server.get("/readyz", async (_request, reply) => {
    if (options.isReady()) return "ok";
    reply.code(503);
    return "not ready";
  });
  server.get("/debug/plugins/state", async () => ({
    timestamp: new Date().toISOString(),
    plugins: options.pluginsState(),
  }));
  server.get<{ Querystring: { limit?: string } }>("/debug/decisions", async (request) => {
    const limit = Number.parseInt(request.query.limit ?? "", 10);
    const bounded = Number.isNaN(limit)
      ? DECISIONS_PER_PAGE
      : Math.min(Math.max(limit, 1), DECISIONS_PER_PAGE_MAX);
    return { decisions: options.decisions(bounded) };
  });
  return server;
}

/** What `listenEverywhere` needs of a server. */
export type Listener = Pick<FastifyInstance, "listen" | "server">;

/** Listens on all addresses: IPv6 with IPv4 in it, or IPv4 alone where there is no IPv6. @returns the port */
export async function listenEverywhere(server: Listener, port: number): Promise<number> {
  try {
    await server.listen({ port, host: "::" });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") throw error;
    await server.listen({ port, host: "0.0.0.0" });
  }
  return (server.server.address() as AddressInfo).port;
}

/**
 * HTTP for people and probes: /metrics, /healthz, /readyz and the debug pages. Never on the data plane.
 * @module
 */
import { type FastifyInstance, fastify } from "fastify";
import type { Metrics } from "../metrics/metrics.ts";

export interface AdminOptions {
  readonly metrics: Metrics;
  isReady(): boolean;
  /** Bounded state of plugins and resources, by name; for /debug/plugins/state. */
  pluginsState(): Record<string, { name: string; type: string; state?: unknown; message?: string }>;
  /** Decision records, newest first; for /debug/decisions. */
  decisions(limit: number): unknown[];
}

const DECISIONS_PER_PAGE_MAX = 100;

/** Builds the server; the caller listens and closes. */
export function createAdminServer(options: AdminOptions): FastifyInstance {
  const server = fastify({ logger: false, bodyLimit: 1024, forceCloseConnections: true });
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
    const limit = Number.parseInt(request.query.limit ?? "20", 10);
    const bounded = Number.isNaN(limit) ? 20 : Math.min(Math.max(limit, 1), DECISIONS_PER_PAGE_MAX);
    return { decisions: options.decisions(bounded) };
  });
  server.route({
    method: ["POST", "PUT", "PATCH", "DELETE"],
    url: "/debug/plugins/state",
    handler: async (_request, reply) => {
      reply.code(405).header("allow", "GET");
      return "use GET";
    },
  });
  return server;
}

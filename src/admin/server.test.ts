import type { FastifyInstance } from "fastify";
import { afterEach, describe, expect, test } from "vitest";
import { Metrics } from "../metrics/metrics.ts";
import { type AdminOptions, createAdminServer, type Listener, listenEverywhere } from "./server.ts";

const servers: FastifyInstance[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

function serverOf(options: Partial<AdminOptions> = {}): FastifyInstance {
  const server = createAdminServer({
    metrics: new Metrics(),
    isReady: () => true,
    pluginsState: () => ({}),
    decisions: () => [],
    ...options,
  });
  servers.push(server);
  return server;
}

describe("GET", () => {
  test("/metrics is a page in text format 0.0.4, families sorted by name, each once", async () => {
    const response = await serverOf().inject("/metrics");
    expect(response.statusCode).toBe(200);
    expect(response.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    const families = [...response.body.matchAll(/^# TYPE (\S+) \S+$/gm)].map((match) => match[1]!);
    expect(families).toEqual([...new Set(families)].sort());
    expect(families).toContain("llm_d_epp_request_total");
    expect(families).toContain("process_cpu_seconds_total");
    expect(response.body.endsWith("\n")).toBe(true);
  });

  test("/healthz answers as long as the process does", async () => {
    const response = await serverOf({ isReady: () => false }).inject("/healthz");
    expect([response.statusCode, response.body]).toEqual([200, "ok"]);
  });

  test("/readyz follows readiness", async () => {
    let isReady = false;
    const server = serverOf({ isReady: () => isReady });
    expect((await server.inject("/readyz")).statusCode).toBe(503);
    isReady = true;
    expect((await server.inject("/readyz")).statusCode).toBe(200);
  });

  test("/debug/plugins/state has a time and the plugins by name", async () => {
    const plugins = { a: { name: "a", type: "t", state: { size: 1 } } };
    const response = await serverOf({ pluginsState: () => plugins }).inject("/debug/plugins/state");
    expect(response.json()).toEqual({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/),
      plugins,
    });
  });

  test.each([
    ["", 20],
    ["?limit=1", 1],
    ["?limit=100", 100],
    ["?limit=101", 100],
    ["?limit=0", 1],
    ["?limit=-5", 1],
    ["?limit=x", 20],
    ["?limit=", 20],
    ["?limit=3&limit=4", 3],
  ])("/debug/decisions%s asks for %i", async (query, count) => {
    const asked: number[] = [];
    const decisions = (limit: number) => {
      asked.push(limit);
      return [{ sequence: 7 }];
    };
    const response = await serverOf({ decisions }).inject(`/debug/decisions${query}`);
    expect(response.json()).toEqual({ decisions: [{ sequence: 7 }] });
    expect(asked).toEqual([count]);
  });

  test("anything else is not there", async () => {
    for (const path of ["/", "/metrics/", "/debug", "/debug/pprof/", "/debug/plugins/state/x"]) {
      expect((await serverOf().inject(path)).statusCode, path).toBe(404);
    }
  });
});

describe("other methods", () => {
  const pages = ["/metrics", "/healthz", "/readyz", "/debug/plugins/state", "/debug/decisions"];

  test.each(
    pages.flatMap((page) =>
      (["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const).map(
        (method) => [method, page] as const,
      ),
    ),
  )("%s %s is 405 with Allow, whatever the body", async (method, url) => {
    const server = serverOf();
    for (const type of ["application/json", "application/x-www-form-urlencoded", "x/y"]) {
      const response = await server.inject({
        method,
        url: `${url}?x=1`,
        headers: { "content-type": type },
        payload: "{",
      });
      expect(response.statusCode).toBe(405);
      expect(response.headers["allow"]).toMatch(/^GET/);
    }
  });

  test("HEAD is GET without the body on pages for probes, and 405 on debug pages", async () => {
    const server = serverOf();
    const probe = await server.inject({ method: "HEAD", url: "/readyz" });
    expect([probe.statusCode, probe.body]).toEqual([200, ""]);
    const debug = await server.inject({ method: "HEAD", url: "/debug/plugins/state" });
    expect([debug.statusCode, debug.headers["allow"]]).toEqual([405, "GET"]);
  });

  test("on no page is 404", async () => {
    expect((await serverOf().inject({ method: "POST", url: "/nowhere" })).statusCode).toBe(404);
  });
});

describe("listening", () => {
  test("takes a free port for 0, and serves IPv4", async () => {
    const server = serverOf();
    const port = await listenEverywhere(server, 0);
    const response = await fetch(`http://127.0.0.1:${port}/healthz`);
    expect(await response.text()).toBe("ok");
  });

  /** A server on a machine whose sockets fail with this code on IPv6. */
  function without(code: string) {
    const hosts: string[] = [];
    const listener = {
      server: { address: () => ({ port: 7 }) },
      listen: async ({ host }: { host: string }) => {
        hosts.push(host);
        if (host === "::") throw Object.assign(new Error(code), { code });
        return "";
      },
    };
    return { hosts, listener: listener as unknown as Listener };
  }

  test.each(["EAFNOSUPPORT", "EADDRNOTAVAIL"])("goes on without IPv6 (%s)", async (code) => {
    const { hosts, listener } = without(code);
    expect(await listenEverywhere(listener, 7)).toBe(7);
    expect(hosts).toEqual(["::", "0.0.0.0"]);
  });

  test("fails on a port that is taken", async () => {
    const { hosts, listener } = without("EADDRINUSE");
    await expect(listenEverywhere(listener, 7)).rejects.toThrow("EADDRINUSE");
    expect(hosts).toEqual(["::"]);
  });
});

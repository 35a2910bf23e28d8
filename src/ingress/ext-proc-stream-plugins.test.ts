/**
 * What plugins see of requests and what clients and model servers see of plugins: headers in, headers out, refusals.
 */
import { describe, expect, test } from "vitest";
import { setHeadersOf } from "../../test/support/ext-proc-messages.ts";
import {
  CHAT,
  chatBody,
  type Exchange,
  type IngressSetup,
  ingressSetup,
  post,
} from "../../test/support/ingress-exchange.ts";
import { endpointMetadata } from "../../test/support/scheduler-setup.ts";
import { ConformancePort, SELECTION_HEADER } from "./conformance-port.ts";
import { PluginHeaders } from "./plugin-headers.ts";

function oneProfile(...plugins: readonly { type: string; parameters?: unknown }[]) {
  const used = plugins.filter(({ type }) => /-(filter|scorer)$/.test(type));
  return {
    plugins,
    schedulingProfiles: [
      { name: "default", plugins: used.map(({ type }) => ({ pluginRef: type })) },
    ],
  };
}

function chat(setup: IngressSetup, headers: readonly (readonly [string, string])[] = []): Exchange {
  return setup.open().requestHeaders(post(CHAT, headers)).requestBody(chatBody(2000), true);
}

function answerHeaders(exchange: Exchange): Record<string, string> {
  const { responseHeaders } = exchange.responseHeaders().replies().at(-1)!;
  const set = setHeadersOf(responseHeaders!.response!.headerMutation);
  return Object.fromEntries(set.map(({ name, value }) => [name, value]));
}

describe("sessions", () => {
  test("the answer has a token, and a request with it goes to the same endpoint", () => {
    const setup = ingressSetup({
      endpoints: 8,
      document: oneProfile({ type: "session-affinity-filter" }),
    });
    const first = chat(setup);
    const token = answerHeaders(first)["x-session-token"]!;
    expect(Buffer.from(token, "base64").toString()).toMatch(/^default\/p\d$/);
    for (let i = 0; i < 8; i++) {
      const next = chat(setup, [["x-session-token", token]]);
      expect(next.pick().destination).toBe(first.pick().destination);
      expect(next.pick().remove).toEqual([]);
      expect(answerHeaders(next)).toEqual({ "x-session-token": token });
    }
  });

  test("an upload that no parser reads has its session too", () => {
    const setup = ingressSetup({
      endpoints: 8,
      document: oneProfile({
        type: "session-affinity-scorer",
        parameters: { strategy: "session_id" },
      }),
    });
    const upload = () =>
      setup
        .open()
        .requestHeaders(post("/v1/files", [["x-session-id", "s-1"]]))
        .requestBody("x", true)
        .pick().destination;
    const first = upload();
    for (let i = 0; i < 8; i++) expect(upload()).toBe(first);
  });
});

test("an agent's session header is the fairness id of a request that has none of its own", () => {
  const setup = ingressSetup({ document: oneProfile({ type: "agent-identity" }) });
  const seen: string[] = [];
  const { port } = setup.context;
  const submit = port.submit.bind(port);
  port.submit = (request, subset, sink) => {
    seen.push(request.fairnessId);
    return submit(request, subset, sink);
  };
  chat(setup, [["session_id", "agent-7"]]);
  chat(setup, [
    ["session_id", "agent-7"],
    ["x-llm-d-inference-fairness-id", "tenant"],
  ]);
  chat(setup);
  chat(setup, [["session_id", "s".repeat(1000)]]);
  expect(seen).toEqual(["agent-7", "tenant", "default-flow", "s".repeat(256)]);
});

test("plugins hear how many images, videos and pieces of audio a prompt has", () => {
  const setup = ingressSetup({ endpoints: 1 });
  const seen: number[] = [];
  const { port } = setup.context;
  const submit = port.submit.bind(port);
  port.submit = (request, subset, sink) => {
    seen.push(request.mediaItems);
    return submit(request, subset, sink);
  };
  const image = { type: "image_url", image_url: { url: "https://example.org/cat.png" } };
  const ask = (...content: readonly object[]) => {
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content }] });
    setup.open().requestHeaders(post(CHAT)).requestBody(body, true);
  };
  ask(image, { type: "text", text: "what is it?" }, image);
  ask({ type: "text", text: "and now?" });
  setup.open().requestHeaders(post("/v1/files")).requestBody("x", true);
  expect(seen).toEqual([2, 0, 0]);
});

describe("headers for the sidecar of the model server", () => {
  const document = {
    plugins: [
      {
        type: "disagg-profile-handler",
        parameters: { deciders: { prefill: "always-disagg-pd-decider" } },
      },
      { type: "always-disagg-pd-decider" },
      { type: "prefill-filter" },
      { type: "decode-filter" },
    ],
    schedulingProfiles: [
      { name: "prefill", plugins: [{ pluginRef: "prefill-filter" }] },
      { name: "decode", plugins: [{ pluginRef: "decode-filter" }] },
    ],
  };
  const OURS = [
    "x-prefiller-host-port",
    "x-encoder-hosts-ports",
    "x-data-parallel-host-port",
    "x-kv-cache-source-host-port",
  ] as const;
  const forged = OURS.map((name) => [name, "169.254.169.254:80"] as const);

  test("are ours alone: the prefill target is set, and what a client sent is gone", () => {
    const setup = ingressSetup({ endpoints: 0, document });
    setup.pool.upsert(endpointMetadata(0, { "llm-d.ai/role": "decode" }));
    setup.pool.upsert(endpointMetadata(1, { "llm-d.ai/role": "prefill" }));
    const { destination, remove, set } = chat(setup, forged).pick();
    expect(destination).toBe("10.0.0.0:8000");
    expect(set["x-prefiller-host-port"]).toBe("10.0.0.1:8000");
    expect(Object.keys(set)).not.toContain("x-encoder-hosts-ports");
    expect([...remove].sort()).toEqual(OURS.slice(1).sort());
  });

  test("where no stage runs, what a client sent is gone all the same", () => {
    const setup = ingressSetup({ endpoints: 0, document });
    setup.pool.upsert(endpointMetadata(0, { "llm-d.ai/role": "decode" }));
    const { remove, set } = chat(setup, forged).pick();
    expect([...remove].sort()).toEqual([...OURS].sort());
    for (const name of OURS) expect(Object.keys(set)).not.toContain(name);
  });
});

describe("prefer: if-available", () => {
  const prefer = [["prefer", "if-available"]] as const;

  test("is answered with 412 until an endpoint holds the prompt", () => {
    const setup = ingressSetup({ endpoints: 1 });
    expect(chat(setup, prefer).rejection()).toMatchObject({
      http: 412,
      text: "inference error: PreconditionFailed - no decode worker has the requested KV cache",
      dropped: [],
    });
    chat(setup).responseHeaders().responseBody("x", true);
    expect(chat(setup, prefer).pick().destination).toBe("10.0.0.0:8000");
  });

  test("means nothing where there is no body", () => {
    const setup = ingressSetup({ endpoints: 1 });
    const exchange = setup.open().requestHeaders(post(CHAT, prefer), true);
    expect(exchange.pick().destination).toBe("10.0.0.0:8000");
  });
});

test("a profile that does not exist is answered with 400 and the names that do", () => {
  const setup = ingressSetup({
    document: {
      plugins: [{ type: "header-profile-handler" }, { type: "random-picker" }],
      schedulingProfiles: ["decode", "fast"].map((name) => ({
        name,
        plugins: [{ pluginRef: "random-picker" }],
      })),
    },
  });
  expect(chat(setup, [["EPP-Profile", "slow"]]).rejection()).toMatchObject({
    http: 400,
    text: "inference error: BadRequest - the request names a scheduling profile that is not configured: configured are decode, fast",
  });
  expect(chat(setup, [["EPP-Profile", "fast"]]).pick().destination).toMatch(/^10\.0\.0\.\d:8000$/);
});

describe("the conformance port", () => {
  function conformanceSetup(endpoints: number): IngressSetup {
    // The port needs the scheduler that the setup makes; it is put in place behind.
    const setup = ingressSetup({
      endpoints,
      ingress: { pluginHeaders: new PluginHeaders([SELECTION_HEADER], []) },
    });
    const port = new ConformancePort(setup.context.port, setup.scheduler);
    Object.defineProperty(setup.context, "port", { value: port });
    return setup;
  }

  test("picks in turn, and asks the model server to say who was picked", () => {
    const setup = conformanceSetup(3);
    const picks = Array.from({ length: 6 }, () => chat(setup).pick());
    const destinations = picks.map(({ destination }) => destination);
    expect(new Set(destinations.slice(0, 3)).size).toBe(3);
    expect(destinations.slice(3)).toEqual(destinations.slice(0, 3));
    for (const { destination, set } of picks) {
      expect(set["x-echo-set-header"]).toBe(`x-conformance-test-served-endpoint:${destination}`);
    }
  });

  test("a request chooses by its header, whatever the hint says; a blank one does not choose", () => {
    const setup = conformanceSetup(3);
    const hint = {
      "envoy.lb.subset_hint": { "x-gateway-destination-endpoint-subset": ["10.0.0.2:8000"] },
    };
    const pickFor = (header: string) =>
      setup
        .open()
        .requestHeaders(post(CHAT, [[SELECTION_HEADER, header]]), true, hint)
        .pick().destination;
    expect(pickFor("10.0.0.1, 10.9.9.9")).toBe("10.0.0.1:8000");
    expect(pickFor(" ")).toBe("10.0.0.2:8000");
  });

  test("nobody to choose from is answered with 503, and flights end as any", () => {
    const setup = conformanceSetup(1);
    expect(chat(setup, [[SELECTION_HEADER, "10.9.9.9"]]).rejection().http).toBe(503);
    chat(setup).responseHeaders().responseBody("x", true);
    expect(setup.scheduler.openFlights).toBe(0);
  });
});

/**
 * The whole path with real parts: Envoy, the endpoint-picker process, and servers that check every byte. The same
 * tests run through the embedded gateway, so that it stays true to Envoy.
 * @module
 */
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/deadline.ts";
import { type RunningEndpointPicker, startEndpointPicker } from "../support/endpoint-picker.ts";
import { findEnvoy, NO_ENVOY_REASON } from "../support/envoy.ts";
import { parseExposition, sumOf } from "../support/exposition.ts";
import { freePorts } from "../support/ports.ts";
import { runLoad } from "./load.ts";
import { requestBody, responsePieces, sha256 } from "./payload.ts";
import { type GatewayKind, type Rig, startEchoServer, startFront, startRig } from "./rig.ts";

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  pieces: Buffer[];
}

const agent = new Agent({ keepAlive: true });
afterAll(() => agent.destroy());

function send(
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string>;
    body?: Buffer;
    onFirstPiece?: (response: IncomingMessage) => void;
  } = {},
): Promise<Answer> {
  const { method = "POST", headers = {}, body, onFirstPiece } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      new URL("/v1/completions", url),
      { agent, method, headers: { "content-type": "application/json", ...headers } },
      (response) => {
        const pieces: Buffer[] = [];
        if (onFirstPiece !== undefined) response.once("data", () => onFirstPiece(response));
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, pieces }),
        );
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

/** Resolves with the first bytes of the answer; the connection is then cut. */
function sendAndAbort(url: string, headers: Record<string, string>, body: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      new URL("/v1/completions", url),
      { method: "POST", headers: { "content-type": "application/json", ...headers } },
      (response) => {
        response.once("data", (piece: Buffer) => {
          resolve(piece);
          request.destroy();
        });
        response.on("error", () => {});
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

/** What is still open in the picker, by its own count. */
async function openFlights(picker: RunningEndpointPicker): Promise<number | null> {
  return sumOf(parseExposition(await picker.metrics()), "llm_d_epp_request_running");
}

/** Replies that Envoy had to refuse: none, ever. */
async function expectCleanProtocol(rig: Pick<Rig, "envoy">): Promise<void> {
  if (rig.envoy === null) return;
  const stats = await rig.envoy.stats(/ext_proc/);
  const prefix = "http.inference.ext_proc.";
  expect(stats.get(`${prefix}spurious_msgs_received`)).toBe(0);
  expect(stats.get(`${prefix}rejected_header_mutations`)).toBe(0);
  expect(stats.get(`${prefix}streams_failed`)).toBe(0);
  expect(stats.get(`${prefix}message_timeouts`)).toBe(0);
}

if (findEnvoy() === null) console.log(`envoy suite skipped: ${NO_ENVOY_REASON}`);

describe.each<GatewayKind>(["envoy", "embedded"])("through the %s gateway", (kind) => {
  describe.skipIf(kind === "envoy" && findEnvoy() === null)("end to end", () => {
    let rig: Rig;

    beforeAll(async () => {
      rig = await startRig(kind, 3);
    });

    afterAll(async () => {
      await rig?.stop();
    });

    test("a plain completion arrives byte for byte at the endpoint that was picked", async () => {
      const body = requestBody(1, 5_000, false);
      const answer = await send(rig.url, {
        body,
        headers: { "x-echo-seed": "11", "x-echo-length": "3000" },
      });
      expect(answer.status).toBe(200);
      expect(answer.headers["x-body-sha256"]).toBe(sha256([body]));
      expect(sha256(answer.pieces)).toBe(sha256(responsePieces(11, 3_000, false)));
      expect(answer.headers["x-destination"]).toBe(answer.headers["x-served-by"]);
      await expectCleanProtocol(rig);
    });

    test("a streamed completion comes piece by piece, not at its end", async () => {
      const headers = {
        "x-echo-seed": "12",
        "x-echo-length": "1000",
        "x-echo-stream": "1",
        "x-echo-gate": "piecewise",
      };
      // The server writes the rest only when the client has the first piece: anything held back would hang here.
      const answer = await send(rig.url, {
        body: requestBody(2, 100, true),
        headers,
        onFirstPiece: (response) => {
          const server = String(response.headers["x-served-by"]);
          void fetch(`http://${server}/release/piecewise`);
        },
      });
      expect(answer.headers["content-type"]).toBe("text/event-stream");
      expect(sha256(answer.pieces)).toBe(sha256(responsePieces(12, 1_000, true)));
      await expectCleanProtocol(rig);
    });

    test("a prompt of 1 MB arrives unchanged", async () => {
      const body = requestBody(3, 1_000_000, false);
      const answer = await send(rig.url, { body });
      expect(answer.status).toBe(200);
      expect(answer.headers["x-body-bytes"]).toBe(String(body.length));
      expect(answer.headers["x-body-sha256"]).toBe(sha256([body]));
      await expectCleanProtocol(rig);
    });

    test("an answer of 10 MB arrives unchanged", async () => {
      const answer = await send(rig.url, {
        body: requestBody(4, 10, false),
        headers: { "x-echo-seed": "14", "x-echo-length": "10000000" },
      });
      expect(answer.status).toBe(200);
      expect(sha256(answer.pieces)).toBe(sha256(responsePieces(14, 10_000_000, false)));
      await expectCleanProtocol(rig);
    });

    test("a rewritten model comes back under the client's name, and its tokens are counted", async () => {
      const asked = { ...JSON.parse(requestBody(7, 20, false).toString()), model: "the-client's" };
      const answer = await send(rig.url, {
        body: Buffer.from(JSON.stringify(asked)),
        headers: {
          "x-llm-d-model-name-rewrite": "base",
          "x-echo-seed": "17",
          "x-echo-length": "100000",
        },
      });
      const sent = Buffer.concat(responsePieces(17, 100_000, false)).toString();
      const expected = sent.replace('"model":"base"', `"model":"the-client's"`);
      expect(Buffer.concat(answer.pieces).toString()).toBe(expected);
      const samples = parseExposition(await rig.picker.metrics());
      const labels = { model_name: "the-client's" };
      expect(sumOf(samples, "llm_d_epp_request_output_tokens_count", labels)).toBe(1);
      await expectCleanProtocol(rig);
    });

    test("a request without a body is routed too", async () => {
      const answer = await send(rig.url, { method: "GET" });
      expect(answer.status).toBe(200);
      expect(answer.headers["x-destination"]).toBe(answer.headers["x-served-by"]);
      await expectCleanProtocol(rig);
    });

    test("a 500 of the model server reaches the client as it is", async () => {
      const answer = await send(rig.url, {
        body: requestBody(5, 10, false),
        headers: { "x-echo-status": "500", "x-echo-seed": "15", "x-echo-length": "40" },
      });
      expect(answer.status).toBe(500);
      expect(sha256(answer.pieces)).toBe(sha256(responsePieces(15, 40, false)));
      await expectCleanProtocol(rig);
    });

    test("a body that is not JSON is refused with 400 and the picker's text", async () => {
      const answer = await send(rig.url, { body: Buffer.from("not json at all") });
      expect(answer.status).toBe(400);
      expect(Buffer.concat(answer.pieces).toString()).toMatch(/^inference error: BadRequest - /);
      await expectCleanProtocol(rig);
    });

    test("a client that leaves in the middle of a stream gives its place back", async () => {
      const headers = { "x-echo-length": "1000", "x-echo-stream": "1", "x-echo-delay-ms": "1000" };
      const first = await sendAndAbort(rig.url, headers, requestBody(6, 100, true));
      expect(first.toString()).toMatch(/^data: /);
      await until(
        async () => ((await openFlights(rig.picker)) === 0 ? true : null),
        10_000,
        "no open request",
      );
    });

    test("load over one HTTP/2 connection loses no request and no byte", async () => {
      // One Envoy worker keeps one connection, and ends each of its 20,000 exchanges with a reset.
      const amount =
        kind === "envoy" ? { requests: 20_000, rate: 400 } : { requests: 600, rate: 150 };
      const result = await runLoad({ url: rig.url, ...amount, connections: 64 });
      expect(result.failures).toEqual([]);
      expect(result.wrongBytes).toBe(0);
      expect([...result.servedBy.keys()].sort()).toEqual(
        rig.servers.map(({ address }) => address).sort(),
      );
      await expectCleanProtocol(rig);
    });
  });

  describe.skipIf(kind === "envoy" && findEnvoy() === null)("with servers that go away", () => {
    test("a refused connection is a 503 of the gateway, and the picker survives it", async () => {
      const [port] = (await freePorts(1)) as [number];
      const picker = await startEndpointPicker({
        endpoints: [{ name: "gone", address: "127.0.0.1", port }],
      });
      const front = await startFront(kind, picker);
      try {
        const answer = await send(front.url, { body: requestBody(7, 10, false) });
        expect(answer.status).toBe(503);
        expect(picker.alive()).toBe(true);
        await expectCleanProtocol(front);
      } finally {
        await front.stop();
        await picker.kill();
      }
    });

    test("a server taken out and another put in under load costs only what was in flight", async () => {
      const rig = await startRig(kind, 2);
      const added = await startEchoServer("server-added");
      try {
        const [leaving, staying] = rig.servers;
        let killedAtMs = Number.POSITIVE_INFINITY;
        const load = runLoad({ url: rig.url, requests: 900, rate: 150, delayMs: 100 });
        const change = (async () => {
          await until(
            async () => ((await openFlights(rig.picker)) ?? 0) > 5 || null,
            10_000,
            "requests under way",
          );
          await rig.picker.setEndpoints([staying!.endpoint, added.endpoint]);
          await until(
            async () => {
              const page = await (await fetch(`http://${added.address}/metrics`)).text();
              return (sumOf(parseExposition(page), "echo_answers_total") ?? 0) > 0 || null;
            },
            10_000,
            "an answer of the added server",
          );
          killedAtMs = performance.now();
          await leaving!.child.kill();
        })();
        const [result] = await Promise.all([load, change]);
        const inFlight = result.failures.filter(({ startedAtMs }) => startedAtMs <= killedAtMs);
        expect(result.failures).toEqual(inFlight);
        expect(result.wrongBytes).toBe(0);
        expect(result.servedBy.get(added.address)).toBeGreaterThan(50);
        await expectCleanProtocol(rig);
      } finally {
        await rig.stop();
        await added.child.kill();
      }
    });
  });
});

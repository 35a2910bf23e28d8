/**
 * Our own HTTP/2 and node:http2 under the same ext_proc service: Envoy and a Go client get the same answers from both.
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExtProcStream } from "../../src/ingress/ext-proc-stream.ts";
import { H2Transport } from "../../src/ingress/h2/h2-transport.ts";
import type { AcceptStream, ExtProcTransport } from "../../src/ingress/transport.ts";
import { findEnvoy, NO_ENVOY_REASON, type RunningEnvoy, startEnvoy } from "../support/envoy.ts";
import { EXT_PROC_PATH } from "../support/ext-proc-head.ts";
import { buildGoRig, noGoRigReason, runGoRig } from "../support/go-rig.ts";
import { type IngressSetup, ingressSetup, NOTHING_HELD } from "../support/ingress-exchange.ts";
import { NodeHttp2Transport } from "../support/node-http2-transport.ts";
import { endpointMetadata } from "../support/scheduler-setup.ts";
import { requestBody, sha256 } from "./payload.ts";
import { type EchoServer, startEchoServer } from "./rig.ts";

const HOST = "127.0.0.1";
/** Well below 1,000 resets a connection, where the oracle's guard begins. */
const REQUESTS = 250;
const SEED = 20_26;
const AT_ONCE = 8;

interface Picker {
  readonly name: string;
  readonly setup: IngressSetup;
  readonly transport: ExtProcTransport;
  readonly port: number;
}

async function startPicker(
  name: string,
  endpoint: EchoServer["endpoint"],
  create: (accept: AcceptStream) => ExtProcTransport,
): Promise<Picker> {
  const setup = ingressSetup({ endpoints: 0 });
  const { address, port: endpointPort } = endpoint;
  // One endpoint, so that both pick the same one.
  setup.pool.upsert({ ...endpointMetadata(0), address, port: endpointPort });
  const transport = create((path, stream) =>
    path === EXT_PROC_PATH ? new ExtProcStream(stream, setup.context) : null,
  );
  return { name, setup, transport, port: await transport.listen(0, HOST) };
}

let server: EchoServer;
let pickers: readonly Picker[];

beforeAll(async () => {
  server = await startEchoServer("server-0");
  const { endpoint } = server;
  pickers = [
    await startPicker("own", endpoint, (accept) => new H2Transport({ accept })),
    await startPicker("oracle", endpoint, (accept) => new NodeHttp2Transport({ accept })),
  ];
});

afterAll(async () => {
  for (const { transport } of pickers ?? []) await transport.drain(0);
  await server?.child.kill();
});

interface Request {
  readonly method: string;
  readonly kind: "prompt" | "broken" | "empty";
  readonly promptLength: number;
  readonly answerLength: number;
  readonly status: number;
  readonly isStreamed: boolean;
  readonly cuts: readonly number[];
}

const length = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 5_000 }) },
  { weight: 3, arbitrary: fc.integer({ min: 5_000, max: 200_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 200_000, max: 1_500_000 }) },
);

const requests: fc.Arbitrary<Request> = fc.record({
  method: fc.constantFrom("POST", "POST", "POST", "POST", "PUT"),
  kind: fc.constantFrom("prompt", "prompt", "prompt", "prompt", "broken", "empty"),
  promptLength: length,
  answerLength: length,
  status: fc.constantFrom(200, 200, 200, 404, 500),
  isStreamed: fc.boolean(),
  cuts: fc.array(fc.nat(), { maxLength: 6 }),
});

/** What a client of Envoy sees, bytes as a hash. */
interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const COMPARED_HEADERS = [
  "content-type",
  "content-length",
  "x-body-sha256",
  "x-body-bytes",
  "x-served-by",
  "x-destination",
] as const;

function bodyOf(asked: Request, seed: number): Buffer {
  if (asked.kind === "empty") return Buffer.alloc(0);
  const body = requestBody(seed, asked.promptLength, asked.isStreamed);
  return asked.kind === "prompt" ? body : body.subarray(0, body.length >> 1);
}

/** The body leaves in pieces, without a length. */
function send(url: string, agent: Agent, asked: Request, seed: number): Promise<Answer> {
  const body = bodyOf(asked, seed);
  const headers = {
    "content-type": "application/json",
    "x-echo-seed": String(seed),
    "x-echo-length": String(asked.answerLength),
    "x-echo-status": String(asked.status),
    "x-echo-stream": asked.isStreamed ? "1" : "0",
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      new URL("/v1/completions", url),
      { agent, headers, method: asked.method },
      (response) => {
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(
              COMPARED_HEADERS.map((name) => [name, response.headers[name]]),
            ),
            body: sha256(pieces),
          }),
        );
      },
    );
    request.on("error", reject);
    const cuts = asked.cuts.map((cut) => cut % (body.length + 1)).toSorted((a, b) => a - b);
    let from = 0;
    for (const to of [...cuts, body.length]) {
      if (to > from) request.write(body.subarray(from, to));
      from = to;
    }
    request.end();
  });
}

/** All requests in their order, some at a time. */
async function play(url: string, all: readonly Request[]): Promise<Answer[]> {
  const agent = new Agent({ keepAlive: true });
  const answers: Answer[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < all.length) {
      const i = next++;
      answers[i] = await send(url, agent, all[i]!, i + 1);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } finally {
    agent.destroy();
  }
  return answers;
}

if (findEnvoy() === null) console.log(`envoy is left out: ${NO_ENVOY_REASON}`);

describe.skipIf(findEnvoy() === null)("through Envoy", () => {
  test("the same requests get the same answers", async () => {
    const all = fc.sample(requests, { numRuns: REQUESTS, seed: SEED });
    const results: Answer[][] = [];
    for (const picker of pickers) {
      const envoy: RunningEnvoy = await startEnvoy(findEnvoy()!, {
        extProcPort: picker.port,
        route: { kind: "original-dst" },
      });
      try {
        results.push(await play(envoy.url, all));
        const stats = await envoy.stats(/ext_proc/);
        const count = (name: string) => stats.get(`http.inference.ext_proc.${name}`);
        expect([count("streams_started"), picker.name]).toEqual([REQUESTS, picker.name]);
        expect([count("streams_failed"), count("spurious_msgs_received")]).toEqual([0, 0]);
      } finally {
        await envoy.stop();
      }
      expect(picker.setup.held()).toEqual(NOTHING_HELD);
      expect(picker.setup.faults).toEqual([]);
    }
    const [ours, theirs] = results;
    expect(ours).toEqual(theirs);
    const statuses = new Set(ours!.map(({ status }) => status));
    expect([...statuses].sort()).toEqual([200, 400, 404, 500]);
  });
});

const noGo = noGoRigReason();
if (noGo !== null) console.log(`the Go client is left out: ${noGo}`);

describe.skipIf(noGo !== null)("with a Go client", () => {
  let folder: string;
  let rig: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "rig-"));
    rig = await buildGoRig(folder);
  }, 300_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each([
    ["small bodies", ["-rate=100", "-size=500"]],
    ["event streams", ["-rate=50", "-size=8000", "-stream", "-resp=100"]],
    ["bodies of many frames", ["-rate=20", "-size=200000", "-chunk=50000"]],
    ["bodies of a megabyte", ["-rate=5", "-size=1000000", "-bodies=10"]],
  ])("%s come back whole from both", async (_, flags) => {
    for (const { name, port } of pickers) {
      const counts = await runGoRig(rig, port, ["-conns=2", "-warm=0.2", "-s=2", ...flags]);
      const { endpoints, failed, first_error, immediate } = counts;
      expect({ name, endpoints, failed, first_error, immediate }).toEqual({
        name,
        endpoints: 1,
        failed: 0,
        first_error: null,
        immediate: 0,
      });
      expect(counts.done).toBeGreaterThan(0);
    }
  });
});

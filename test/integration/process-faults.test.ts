/**
 * Model servers and files that misbehave: picks go on, and what is wrong is counted by its reason.
 */
import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { HealthClient, ServingStatus } from "../support/health-client.ts";
import { renderPage } from "../support/metrics-page.ts";
import { freePorts } from "../support/ports.ts";
import { answerIn, finishExchange, pickOnce, sendRequest } from "../support/process-exchange.ts";
import {
  endpointsAt,
  type ProcessUnderTest,
  processFiles,
  startProcess,
} from "../support/process-under-test.ts";
import { answerOf, onRequest, type RawServer, startRawServer } from "../support/raw-server.ts";

const SCRAPES = "endpoint_picker_scrapes_total";
const RELOADS = "endpoint_picker_discovery_reloads_total";
const PAGE = renderPage({ waiting: 3, running: 2, kvCacheUsage: 0.5, adapters: [] });
const CONFIG = {
  apiVersion: "llm-d.ai/v1alpha1",
  kind: "EndpointPickerConfig",
  plugins: [
    { type: "queue-scorer" },
    { type: "kv-cache-utilization-scorer" },
    { type: "prefix-cache-scorer" },
  ],
};

/** Writes as long as the other side reads. */
function writeWithoutEnd(socket: Socket, chunk: Buffer): void {
  const write = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on("drain", write);
  write();
}

const page = (text: string) => (socket: Socket) =>
  onRequest(socket, () => socket.write(answerOf(text)));

/** Every way to be a bad model server, and the reason under which it must be counted. */
const SERVERS: Readonly<Record<string, { reason: string; serve: (socket: Socket) => void }>> = {
  "resets the connection": { reason: "reset", serve: (socket) => socket.resetAndDestroy() },
  "never answers": { reason: "timeout", serve: () => {} },
  drips: {
    reason: "timeout",
    serve: (socket) =>
      onRequest(socket, () => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        const timer = setInterval(() => socket.write("#"), 50);
        socket.on("close", () => clearInterval(timer));
      }),
  },
  "sends 50 MB": {
    reason: "too-large",
    serve: (socket) =>
      onRequest(socket, () => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n");
        writeWithoutEnd(socket, Buffer.alloc(65_536, "#"));
      }),
  },
  "sends a page without end": {
    reason: "too-large",
    serve: (socket) =>
      onRequest(socket, () => {
        socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        const chunk = Buffer.concat([
          Buffer.from("10000\r\n"),
          Buffer.alloc(0x10000, "a 1\n"),
          Buffer.from("\r\n"),
        ]);
        writeWithoutEnd(socket, chunk);
      }),
  },
  "answers 500": {
    reason: "status",
    serve: (socket) => onRequest(socket, () => socket.write(answerOf(PAGE, "500 No"))),
  },
  "speaks another protocol": {
    reason: "malformed",
    serve: (socket) => onRequest(socket, () => socket.write("SSH-2.0-x\r\n\r\n")),
  },
  "answers JSON": {
    reason: "no-facts",
    serve: (socket) => onRequest(socket, () => socket.write(answerOf('{"error": "no metrics"}'))),
  },
  "says NaN": {
    reason: "no-facts",
    serve: page(
      "vllm:num_requests_waiting NaN\nvllm:num_requests_running NaN\nvllm:kv_cache_usage_perc NaN\n",
    ),
  },
  "says a number that no number holds": {
    reason: "ok",
    serve: page("vllm:num_requests_waiting 1e400\nvllm:num_requests_running 1\n"),
  },
  "mislabels a good page": {
    reason: "ok",
    serve: (socket) =>
      onRequest(socket, () =>
        socket.write(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${PAGE.length}\r\n\r\n${PAGE}`,
        ),
      ),
  },
  "is well": { reason: "ok", serve: page(PAGE) },
};

describe("with one of every kind of bad model server", () => {
  const servers: RawServer[] = [];
  let picker: ProcessUnderTest;
  let client: ExtProcClient;
  let ports: number[] = [];

  beforeAll(async () => {
    for (const { serve } of Object.values(SERVERS)) servers.push(await startRawServer(serve));
    const [nobody] = (await freePorts(1)) as [number];
    ports = [...servers.map(({ port }) => port), nobody];
    picker = await startProcess(
      await processFiles(endpointsAt(...ports), CONFIG),
      "--secure-serving=false",
    );
    client = new ExtProcClient(picker.address);
  });

  afterAll(async () => {
    client?.close();
    await picker?.end();
    for (const server of servers) await server.close();
  });

  test("picks go on, and every failure is counted by its reason", async () => {
    const reasons = new Set(["refused", ...Object.values(SERVERS).map(({ reason }) => reason)]);
    for (const reason of reasons) {
      const before = await picker.metric(SCRAPES, { result: reason });
      // Each answer waits for at most as long as a test waits for anything; a stuck server must not show.
      expect(ports.map((port) => `127.0.0.1:${port}`)).toContain(await pickOnce(client));
      await picker.metricWhere(SCRAPES, { result: reason }, (sum) => sum > (before ?? 0));
    }
    expect(await picker.metric("endpoint_picker_internal_faults_total")).toBe(0);
    expect(await picker.metric("endpoint_picker_scraper_thread_restarts_total")).toBe(0);
  });

  test("every series of the page stays a number", async () => {
    for (let i = 0; i < 30; i++) await pickOnce(client);
    const text = await (await picker.get("/metrics")).text();
    expect(text).not.toMatch(/ (NaN|[+-]Inf|undefined|null)$/m);
    const ready = await picker.metric("llm_d_epp_ready_endpoints");
    const well = Object.values(SERVERS).filter(({ reason }) => reason === "ok").length;
    expect(ready).toBe(well);
  });

  test("the errors of upstream's name add up to ours", async () => {
    const [all, ok, errors] = [
      await picker.metric(SCRAPES),
      await picker.metric(SCRAPES, { result: "ok" }),
      await picker.metric("llm_d_epp_datalayer_poll_errors_total"),
    ];
    // They go on while the pages are read.
    expect(errors).toBeGreaterThanOrEqual(all! - ok! - 1_000);
    expect(errors).toBeGreaterThan(0);
  });
});

describe("with an endpoints file that changes under it", () => {
  let picker: ProcessUnderTest;
  let client: ExtProcClient;

  beforeAll(async () => {
    picker = await startProcess(await processFiles(endpointsAt(1)), "--secure-serving=false");
    client = new ExtProcClient(picker.address);
  });

  afterAll(async () => {
    client?.close();
    await picker?.end();
  });

  afterEach(async () => {
    const { endpointsPath, replace } = picker.files;
    const before = (await picker.metric(RELOADS, { result: "ok" })) ?? 0;
    // Always another text than the one in use.
    await replace(endpointsPath, `# ${before}\n${endpointsAt(1)}`);
    await picker.metricWhere(RELOADS, { result: "ok" }, (sum) => sum > before);
  });

  const replaced = async (content: string, result: "ok" | "failed"): Promise<void> => {
    const before = (await picker.metric(RELOADS, { result })) ?? 0;
    await picker.files.replace(picker.files.endpointsPath, content);
    await picker.metricWhere(RELOADS, { result }, (sum) => sum > before);
  };

  test("an emptied list is an empty pool: 503 with the reason, and still ready", async () => {
    await replaced("endpoints: []\n", "ok");
    expect(await pickOnce(client)).toBe("503 rejected-no-endpoints");
    expect((await picker.get("/readyz")).status).toBe(200);
    const failure = { status: "failure", endpoint_name: "" };
    expect(await picker.metric("llm_d_epp_scheduler_attempts_total", failure)).toBeGreaterThan(0);
    expect(
      await picker.metric("llm_d_epp_request_error_total", { error_code: "ServiceUnavailable" }),
    ).toBeGreaterThan(0);
  });

  test.each([
    ["garbled", "endpoints: [}}"],
    ["emptied", ""],
    ["half written", endpointsAt(2, 3).slice(0, -20)],
    ["wrong in one entry", '{"endpoints": [{"name": "a", "address": "10.0.0.1", "port": "0"}]}'],
    ["above 1 MiB", "#".repeat(1_048_577)],
  ])("a file that is %s keeps the endpoints in use", async (_what, content) => {
    await replaced(content, "failed");
    expect(await pickOnce(client)).toBe("127.0.0.1:1");
    expect(await picker.line("endpoints file not taken; the endpoints in use stay")).toMatchObject({
      level: "error",
      reason: expect.stringContaining(picker.files.endpointsPath),
    });
  });

  test("a file that takes long to read is read beside the picks", async () => {
    const failed = { result: "failed" };
    const before = (await picker.metric(RELOADS, failed)) ?? 0;
    await picker.files.replace(picker.files.endpointsPath, "[".repeat(50_000));
    const health = new HealthClient(picker.healthAddress);
    try {
      // Each check has a second; the thread that picks also answers them.
      do {
        expect(await health.check()).toBe(ServingStatus.Serving);
        expect(await pickOnce(client)).toBe("127.0.0.1:1");
      } while ((await picker.metric(RELOADS, failed)) === before);
    } finally {
      health.close();
    }
  });

  test("an endpoint that leaves takes nothing of its requests with it", async () => {
    const stream = sendRequest(client);
    expect(answerIn(await stream.next())).toBe("127.0.0.1:1");
    await replaced(endpointsAt(2), "ok");
    expect(await pickOnce(client)).toBe("127.0.0.1:2");
    await finishExchange(stream);
    await picker.metricWhere("endpoint_picker_open_flights", {}, (sum) => sum === 0);
    expect(await picker.metric("endpoint_picker_accounting_repairs_total")).toBe(0);
  });
});

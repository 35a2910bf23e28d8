/**
 * Flow control in the real process: requests wait for what scrapes say, for a time, and through a drain.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { within } from "../support/deadline.ts";
import { ExtProcClient } from "../support/ext-proc-client.ts";
import { answerIn, finishExchange, sendRequest } from "../support/process-exchange.ts";
import { endpointsAt, processFiles, startProcess } from "../support/process-under-test.ts";

const WITHIN_MS = 20_000;
const QUEUE = "llm_d_epp_flow_control_queue_size";
/** Nobody listens there: never scraped, so the pool is full. */
const NOBODY_PORT = 1;

type OnFinished = (cleanUp: () => Promise<void> | void) => void;

async function start(
  onTestFinished: OnFinished,
  port: number,
  flowControl: object,
  ...flags: string[]
) {
  const files = await processFiles(endpointsAt(port), {
    apiVersion: "llm-d.ai/v1alpha1",
    kind: "EndpointPickerConfig",
    plugins: [{ type: "random-picker" }],
    featureGates: ["flowControl"],
    flowControl,
  });
  const picker = await startProcess(files, "--secure-serving=false", ...flags);
  const client = new ExtProcClient(picker.address);
  onTestFinished(async () => {
    client.close();
    await picker.end();
  });
  const sendQueued = async () => {
    const stream = sendRequest(client);
    await picker.metricWhere(QUEUE, {}, (requests) => requests > 0);
    return stream;
  };
  return { client, picker, sendQueued };
}

/** A model server that says how many requests wait in it. */
async function modelServer(onTestFinished: OnFinished) {
  let waiting = 0;
  const server: Server = createServer((_request, response) => {
    response.end(
      [
        "# TYPE vllm:num_requests_waiting gauge",
        `vllm:num_requests_waiting{model_name="m"} ${waiting}`,
        "# TYPE vllm:num_requests_running gauge",
        'vllm:num_requests_running{model_name="m"} 0',
        "# TYPE vllm:kv_cache_usage_perc gauge",
        'vllm:kv_cache_usage_perc{model_name="m"} 0',
        "",
      ].join("\n"),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    setWaiting: (requests: number) => {
      waiting = requests;
    },
  };
}

test.concurrent("a request waits until a scrape shows room", async ({ onTestFinished }) => {
  const engine = await modelServer(onTestFinished);
  engine.setWaiting(9);
  const { client, picker } = await start(onTestFinished, engine.port, {});
  await picker.metricWhere("llm_d_epp_average_queue_size", {}, (waiting) => waiting === 9);
  const stream = sendRequest(client);
  await picker.metricWhere(QUEUE, {}, (requests) => requests === 1);
  expect(
    await picker.metric("llm_d_epp_flow_control_pool_saturation", { stage: "effective" }),
  ).toBeCloseTo(9 / 5, 9);
  engine.setWaiting(0);
  const answer = await within(stream.next(), WITHIN_MS, "answer when there is room");
  expect(answerIn(answer)).toBe(`127.0.0.1:${engine.port}`);
  await finishExchange(stream);
  await picker.metricWhere(QUEUE, {}, (requests) => requests === 0);
  expect(
    await picker.metric("llm_d_epp_flow_control_requests_total", { outcome: "Dispatched" }),
  ).toBe(1);
});

test.concurrent("a request whose budget is spent gets 429", async ({ onTestFinished }) => {
  const { client } = await start(onTestFinished, NOBODY_PORT, { defaultRequestTTL: "50ms" });
  const answer = await within(sendRequest(client).next(), WITHIN_MS, "answer at the end of budget");
  expect(answerIn(answer)).toBe("429 rejected-ttl-expired");
});

test.concurrent("a client that leaves takes its request with it", async ({ onTestFinished }) => {
  const { picker, sendQueued } = await start(onTestFinished, NOBODY_PORT, {});
  const stream = await sendQueued();
  stream.cancel();
  await picker.metricWhere(QUEUE, {}, (requests) => requests === 0);
  expect(
    await picker.metric("llm_d_epp_flow_control_requests_total", {
      outcome: "EvictedContextCancelled",
    }),
  ).toBe(1);
});

test.concurrent("at the deadline of a drain what is queued gets 503, and it exits with 0", async ({
  onTestFinished,
}) => {
  const { picker, sendQueued } = await start(
    onTestFinished,
    NOBODY_PORT,
    {},
    "--drain-grace=0",
    "--drain-timeout=100ms",
  );
  const stream = await sendQueued();
  process.kill(picker.child.pid, "SIGTERM");
  const answer = await within(stream.next(), WITHIN_MS, "answer at the deadline");
  expect(answerIn(answer)).toBe("503 rejected-shutting-down");
  expect((await within(picker.child.exited, WITHIN_MS, "end of the process")).code).toBe(0);
});

test.concurrent("handed over: what is queued is refused at once, for the gateway to send elsewhere", async ({
  onTestFinished,
}) => {
  const { picker, sendQueued } = await start(
    onTestFinished,
    NOBODY_PORT,
    {},
    "--drain-grace=0",
    "--drain-timeout=1h",
    "--drain-hand-over",
  );
  const stream = await sendQueued();
  process.kill(picker.child.pid, "SIGTERM");
  expect((await within(stream.closed, WITHIN_MS, "refusal")).code).toBe(status.UNAVAILABLE);
  expect((await within(picker.child.exited, WITHIN_MS, "end of the process")).code).toBe(0);
});

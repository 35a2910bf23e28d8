/**
 * How the process leaves: out of service at once, everything still served for a grace, open exchanges to their end, and
 * an end to waiting.
 */
import { connect } from "node:net";
import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { startChild } from "../support/child.ts";
import { until, within } from "../support/deadline.ts";
import { ExtProcClient, type ExtProcStream } from "../support/ext-proc-client.ts";
import { HealthClient, ServingStatus } from "../support/health-client.ts";
import { builtScript } from "../support/paths.ts";
import {
  answerIn,
  finishExchange,
  pickOnce,
  sendHalf,
  sendRequest,
} from "../support/process-exchange.ts";
import {
  argumentsFor,
  endpointsAt,
  type ProcessUnderTest,
  processFiles,
  startProcess,
} from "../support/process-under-test.ts";

const WITHIN_MS = 20_000;
const ENDPOINT = "127.0.0.1:1";

/** The tests wait rather than work, so they run side by side; each cleans up after itself. */
type OnFinished = (cleanUp: () => Promise<void> | void) => void;

async function start(onTestFinished: OnFinished, ...flags: string[]) {
  const picker = await startProcess(
    await processFiles(endpointsAt(1)),
    "--secure-serving=false",
    ...flags,
  );
  const client = new ExtProcClient(picker.address);
  const health = new HealthClient(picker.healthAddress);
  onTestFinished(async () => {
    client.close();
    health.close();
    await picker.end();
  });
  return { picker, client, health };
}

/** An exchange whose request has been answered. */
async function sendPicked(client: ExtProcClient): Promise<ExtProcStream> {
  const stream = sendRequest(client);
  expect(answerIn(await stream.next())).toBe(ENDPOINT);
  return stream;
}

/** An exchange that has had no answer, since the rest of its request is to come. */
async function sendWaiting(
  client: ExtProcClient,
  picker: ProcessUnderTest,
): Promise<ExtProcStream> {
  const stream = sendHalf(client);
  await picker.metricWhere("endpoint_picker_body_bytes_in_flight", {}, (bytes) => bytes > 0);
  return stream;
}

const term = (picker: ProcessUnderTest): void => {
  process.kill(picker.child.pid, "SIGTERM");
};

const exitCode = async (picker: ProcessUnderTest): Promise<number | null> =>
  (await within(picker.child.exited, WITHIN_MS, "end of the process")).code;

const untilNotServing = (health: HealthClient) =>
  until(
    async () => ((await health.check()) === ServingStatus.NotServing ? true : null),
    WITHIN_MS,
    "NOT_SERVING",
  );

/** Waits until nobody takes connections there: the grace is over. */
const untilClosed = (port: number) =>
  until(
    () =>
      new Promise<true | null>((resolve) => {
        const socket = connect(port, "127.0.0.1");
        socket.on("connect", () => {
          socket.destroy();
          resolve(null);
        });
        socket.on("error", () => resolve(true));
      }),
    WITHIN_MS,
    "end of the grace",
  );

test.concurrent("new requests are served in the grace, open ones to their end after it, and it exits with 0", async ({
  onTestFinished,
}) => {
  const { client, health, picker } = await start(
    onTestFinished,
    "--drain-grace=2s",
    "--drain-timeout=1h",
  );
  const open = await sendPicked(client);
  term(picker);
  await untilNotServing(health);
  expect(await health.check("liveness")).toBe(ServingStatus.Serving);
  expect((await picker.get("/readyz")).status).toBe(503);
  expect(await pickOnce(client)).toBe(ENDPOINT);
  const newcomer = new ExtProcClient(picker.address);
  onTestFinished(() => newcomer.close());
  expect(await pickOnce(newcomer)).toBe(ENDPOINT);
  await untilClosed(picker.ports.grpc);
  // Metrics stay readable through the drain.
  expect(await picker.metric("endpoint_picker_open_flights")).toBe(1);
  expect(picker.child.alive()).toBe(true);
  await finishExchange(open);
  expect(await exitCode(picker)).toBe(0);
  expect(await picker.line("drained")).toMatchObject({ openStreams: 0 });
});

test.concurrent("at the deadline an answer goes on without us, a request that waits gets 503, and it exits with 0", async ({
  onTestFinished,
}) => {
  const { client, picker } = await start(
    onTestFinished,
    "--drain-grace=10ms",
    "--drain-timeout=100ms",
  );
  const answering = await sendPicked(client);
  const waiting = await sendWaiting(client, picker);
  term(picker);
  const refusal = await within(waiting.next(), WITHIN_MS, "answer at the deadline");
  expect(answerIn(refusal)).toBe("503 rejected-shutting-down");
  expect(await exitCode(picker)).toBe(0);
  expect((await within(answering.closed, WITHIN_MS, "end of the exchange")).code).toBe(0);
});

test.concurrent("without open exchanges it does not wait for the timeout", async ({
  onTestFinished,
}) => {
  const { client, picker } = await start(onTestFinished, "--drain-grace=0", "--drain-timeout=1h");
  expect(await pickOnce(client)).toBe(ENDPOINT);
  process.kill(picker.child.pid, "SIGINT");
  expect(await exitCode(picker)).toBe(0);
});

test.concurrent("a second signal skips the grace, a third one ends it at once with 1", async ({
  onTestFinished,
}) => {
  const { client, health, picker } = await start(
    onTestFinished,
    "--drain-grace=1h",
    "--drain-timeout=1h",
  );
  await sendPicked(client);
  term(picker);
  await untilNotServing(health);
  term(picker);
  await picker.line("closing");
  term(picker);
  expect(await exitCode(picker)).toBe(1);
});

test.concurrent("a second signal leaves open exchanges their time", async ({ onTestFinished }) => {
  const { client, health, picker } = await start(onTestFinished, "--drain-grace=1h");
  const open = await sendPicked(client);
  term(picker);
  await untilNotServing(health);
  term(picker);
  await picker.line("closing");
  await finishExchange(open);
  expect(await exitCode(picker)).toBe(0);
});

test.concurrent("handed over: what had no answer is refused, what had one goes on", async ({
  onTestFinished,
}) => {
  const { client, picker } = await start(
    onTestFinished,
    "--drain-grace=0",
    "--drain-timeout=1h",
    "--drain-hand-over",
  );
  const answering = await sendPicked(client);
  const waiting = await sendWaiting(client, picker);
  term(picker);
  expect((await within(waiting.closed, WITHIN_MS, "refusal")).code).toBe(status.UNAVAILABLE);
  await finishExchange(answering);
  expect(await exitCode(picker)).toBe(0);
});

test.concurrent("signals before it serves: SIGHUP is passed over, SIGTERM ends it with 0", async ({
  onTestFinished,
}) => {
  const files = await processFiles(endpointsAt(1));
  const child = startChild(process.execPath, [
    builtScript("src", "main.js"),
    ...argumentsFor(files, "--warm-up=true"),
  ]);
  onTestFinished(async () => {
    await child.kill();
    await files.remove();
  });
  let isServing = false;
  child.onLine((line) => {
    if (line.includes('"msg":"serving"')) isServing = true;
    if (!line.includes('"msg":"flags"')) return;
    process.kill(child.pid, "SIGHUP");
    process.kill(child.pid, "SIGTERM");
  });
  expect(await within(child.exited, WITHIN_MS, "end of the process")).toEqual({
    code: 0,
    signal: null,
  });
  expect(isServing).toBe(false);
});

/**
 * SIGTERM to one of two replicas under load, while requests wait at it and long answers pass through it.
 * @module
 */
import { delay, until, within } from "../../support/deadline.ts";
import { ExtProcClient } from "../../support/ext-proc-client.ts";
import { HealthClient, ServingStatus } from "../../support/health-client.ts";
import { pickOnce } from "../../support/process-exchange.ts";
import { CALM_MS, type HaCase } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atLeast, atMost, caseReport, failuresOf, holds } from "./report.ts";
import { sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { HEALTH_CHECKS_ONLY } from "./settings.ts";
import { sendWaiting } from "./waiting.ts";

const DRAIN_RATE = 200;
const WAITING = 50;
const LONG_STREAMS = 10;
/** An answer has eleven pieces. */
const PIECES = 11;
const DRAIN_TIMEOUT_MS = 30_000;
const STATUS_MS = 2_000;
/** Of a new exchange with a replica that drains. */
const DESTINATION = /^127\.0\.0\.1:\d+$/;

/** What a replica that says NOT_SERVING answers to a new exchange. */
async function pickWhileDraining(grpc: string, healthAddress: string): Promise<string> {
  const health = new HealthClient(healthAddress);
  const client = new ExtProcClient(grpc);
  try {
    await until(
      async () => ((await health.check()) === ServingStatus.NotServing ? true : null),
      STATUS_MS,
      "NOT_SERVING",
    );
    return await pickOnce(client);
  } finally {
    client.close();
    health.close();
  }
}

export const drain: HaCase = ({ settings = HEALTH_CHECKS_ONLY, isShort = false }) => {
  const graceMs = isShort ? 2_000 : 5_000;
  const streamMs = isShort ? 6_000 : 20_000;
  const flags = [`--drain-grace=${graceMs}ms`, `--drain-timeout=${DRAIN_TIMEOUT_MS}ms`];
  return onHaRig({ settings, flags }, async ({ replicas, stat, url }) => {
    const load = startOpenLoop(DRAIN_RATE, () => sendRequest(url));
    await delay(isShort ? CALM_MS / 3 : CALM_MS);
    const gapMs = streamMs / PIECES;
    const long = Promise.all(
      Array.from({ length: LONG_STREAMS }, () =>
        sendRequest(url, { gapMs, timeoutMs: streamMs * 2 }),
      ),
    );
    const waiting = sendWaiting(url, WAITING, 1_000 + 500, isShort ? 2_000 : 3_000 + 500);
    await delay(500);
    const [replica] = replicas;
    const terminatedAtMs = performance.now();
    process.kill(replica!.pid, "SIGTERM");
    const pick = await pickWhileDraining(replica!.address, `127.0.0.1:${replica!.ports.health}`);
    const { code } = await within(
      replica!.exited,
      graceMs + DRAIN_TIMEOUT_MS + 1_000,
      "end of the drain",
    );
    const drainMs = Math.round(performance.now() - terminatedAtMs);
    const outcomes = [...(await load.stop()), ...(await long), ...(await waiting)];
    return caseReport("drain", settings, outcomes, {
      failed: atMost(failuresOf(outcomes).length, 0),
      failedOfWaiting: atMost(failuresOf(await waiting).length, 0),
      failedOfLong: atMost(failuresOf(await long).length, 0),
      exitCode: holds(code, code === 0),
      drainMs: atMost(drainMs, graceMs + DRAIN_TIMEOUT_MS),
      pickWhileNotServing: holds(pick, DESTINATION.test(pick)),
      // Shows that the counter sees what a steady run must not have.
      goawaysFromPicker: atLeast(await stat("upstream_cx_close_notify"), 1),
    });
  });
};

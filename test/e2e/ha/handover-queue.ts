/**
 * SIGTERM with --drain-hand-over while requests wait: what has had no answer is refused, and Envoy's retry moves it.
 * @module
 */
import { delay, within } from "../../support/deadline.ts";
import { CALM_MS, type HaCase, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atLeast, atMost, caseReport, failuresOf, holds } from "./report.ts";
import { sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { SHIPPED } from "./settings.ts";
import { sendWaiting } from "./waiting.ts";

const GRACE_MS = 1_500;
/** At both replicas together. */
const WAITING = 50;
/** Of those at the one that drains. */
const MOVED_MIN = 20;
/** Nothing is left to wait for at the end of the grace but what passes through. */
const EXIT_MS = GRACE_MS + 2_000;

export const handoverQueue: HaCase = ({ settings = SHIPPED }) => {
  const flags = ["--drain-hand-over", `--drain-grace=${GRACE_MS}ms`];
  return onHaRig({ settings, flags }, async ({ replicas, stat, url }) => {
    const load = startOpenLoop(RATE, () => sendRequest(url));
    await delay(CALM_MS / 3);
    const waiting = sendWaiting(url, WAITING, GRACE_MS + 2_000, GRACE_MS + 4_000);
    await delay(500);
    const terminatedAtMs = performance.now();
    process.kill(replicas[0]!.pid, "SIGTERM");
    const { code } = await within(replicas[0]!.exited, EXIT_MS * 3, "end of the drain");
    const drainMs = Math.round(performance.now() - terminatedAtMs);
    const ofWaiting = await waiting;
    const outcomes = [...(await load.stop()), ...ofWaiting];
    return caseReport("handover-queue", settings, outcomes, {
      failed: atMost(failuresOf(outcomes).length, 0),
      failedOfWaiting: atMost(failuresOf(ofWaiting).length, 0),
      retries: atLeast(await stat("upstream_rq_retry"), MOVED_MIN),
      exitCode: holds(code, code === 0),
      drainMs: atMost(drainMs, EXIT_MS),
    });
  });
};

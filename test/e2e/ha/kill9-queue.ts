/**
 * One of two replicas is gone while requests wait at it: they have had no answer, so Envoy opens them anew elsewhere.
 * @module
 */
import { delay } from "../../support/deadline.ts";
import { CALM_MS, type HaCase, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atLeast, atMost, caseReport, failuresOf } from "./report.ts";
import { sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { SHIPPED } from "./settings.ts";
import { sendWaiting } from "./waiting.ts";

/** At both replicas together. */
const WAITING = 50;
/** At the one that is killed, at least: the rest of it is with the other. */
const MOVED_MIN = 20;

export const kill9Queue: HaCase = ({ settings = SHIPPED }) =>
  onHaRig({ settings }, async ({ replicas, stat, url }) => {
    const load = startOpenLoop(RATE / 2, () => sendRequest(url));
    await delay(CALM_MS / 3);
    const waiting = sendWaiting(url, WAITING, 1_500, 3_000);
    await delay(1_000);
    process.kill(replicas[0]!.pid, "SIGKILL");
    const ofWaiting = await waiting;
    const outcomes = [...(await load.stop()), ...ofWaiting];
    return caseReport("kill9-queue", settings, outcomes, {
      failedOfWaiting: atMost(failuresOf(ofWaiting).length, 0),
      retries: atLeast(await stat("upstream_rq_retry"), MOVED_MIN),
      ...(settings.has("no-response-phase")
        ? { failed: atMost(failuresOf(outcomes).length, 0) }
        : {}),
    });
  });

/**
 * One of two replicas is gone from one moment to the next. What was passing through it is lost; nothing else may be.
 * @module
 */
import { delay } from "../../support/deadline.ts";
import { CALM_MS, type HaCase, inFlightBound, openAt, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atMost, caseReport, failuresOf } from "./report.ts";
import { sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { SHIPPED } from "./settings.ts";

const SECONDS = 10;
const BODY_BYTES = 2_000;
/** Envoy keeps no more of an exchange for a retry; health checks must save what is longer. */
const RETRIED_BYTES_MAX = 60_000;
const NOTICED_MS = 1_000;

export const kill9: HaCase = ({ settings = SHIPPED, isShort = false, ...options }) => {
  const { seconds = isShort ? SECONDS / 2 : SECONDS, rate = RATE } = options;
  const { bodyBytes = BODY_BYTES } = options;
  return onHaRig({ settings }, async ({ replicas, stat, url }) => {
    const load = startOpenLoop(rate, () => sendRequest(url, { bodyBytes }));
    const calmMs = isShort ? CALM_MS / 3 : CALM_MS;
    await delay(calmMs);
    process.kill(replicas[0]!.pid, "SIGKILL");
    const killedAtMs = performance.now();
    const safeAtMs = killedAtMs + (bodyBytes > RETRIED_BYTES_MAX ? NOTICED_MS : 0);
    await delay(seconds * 1000 - calmMs);
    const outcomes = await load.stop();
    const failures = failuresOf(outcomes);
    const openAtKill = openAt(outcomes, killedAtMs);
    const inFlight = isShort ? openAtKill : inFlightBound(rate);
    const bound = settings.has("no-response-phase") ? 0 : inFlight;
    return caseReport(
      "kill9",
      settings,
      outcomes,
      {
        failed: atMost(failures.length, bound),
        failedOfSentAfter: atMost(
          failures.filter(({ sentAtMs }) => sentAtMs >= safeAtMs).length,
          0,
        ),
      },
      { openAtKill, retries: await stat("upstream_rq_retry") },
    );
  });
};

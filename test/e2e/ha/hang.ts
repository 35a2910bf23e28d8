/**
 * One of two replicas hangs (SIGSTOP): its connections stay open and nothing comes over them.
 * @module
 */
import { delay } from "../../support/deadline.ts";
import { CALM_MS, type HaCase, inFlightBound, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atMost, caseReport, failuresOf } from "./report.ts";
import { EXCHANGE_MS, sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { SHIPPED } from "./settings.ts";

const SECONDS = 12;
const LATE_MS_MAX = 1_600;

export const hang: HaCase = ({ settings = SHIPPED, isShort = false, ...options }) => {
  const { seconds = isShort ? SECONDS / 2 : SECONDS, rate = RATE, bodyBytes = 2_000 } = options;
  return onHaRig({ settings }, async ({ replicas, stat, url }) => {
    const load = startOpenLoop(rate, () => sendRequest(url, { bodyBytes }));
    const calmMs = isShort ? CALM_MS / 3 : CALM_MS;
    await delay(calmMs);
    process.kill(replicas[0]!.pid, "SIGSTOP");
    const stoppedAtMs = performance.now();
    await delay(seconds * 1000 - calmMs);
    const outcomes = await load.stop();
    process.kill(replicas[0]!.pid, "SIGCONT");
    // What was open at the replica has ended elsewhere; it must not be counted there any more.
    for (const replica of replicas) {
      await replica.waitForMetric("endpoint_picker_open_flights", {}, 0);
    }
    const after = outcomes.filter(({ sentAtMs }) => sentAtMs >= stoppedAtMs);
    const lateMs = after.map(({ endedAtMs, sentAtMs }) => endedAtMs - sentAtMs - EXCHANGE_MS);
    const failures = failuresOf(outcomes);
    return caseReport(
      "hang",
      settings,
      outcomes,
      {
        failed: atMost(
          failures.length,
          settings.has("no-response-phase") ? 0 : inFlightBound(rate),
        ),
        hanging: atMost(failures.filter(({ end }) => end === "hang").length, 0),
        failedOfSentAfter: atMost(failuresOf(after).length, 0),
        worstLateMs: atMost(Math.round(Math.max(...lateMs)), LATE_MS_MAX),
      },
      { retries: await stat("upstream_rq_retry") },
    );
  });
};

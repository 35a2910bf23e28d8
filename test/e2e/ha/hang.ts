/**
 * One of two replicas hangs (SIGSTOP): its connections stay open and nothing comes over them.
 * @module
 */
import { delay } from "../../support/deadline.ts";
import { CALM_MS, type HaCase, inFlightBound, openAt, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atMost, caseReport, failuresOf } from "./report.ts";
import { EXCHANGE_MS, sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { SHIPPED } from "./settings.ts";

const SECONDS = 12;
const LATE_MS_MAX = 1_600;
/** Pings begin with the connection, so with the load: without a shift each run would see the same moment between two. */
const PHASE_MS_MAX = 1_000;

export const hang: HaCase = ({ settings = SHIPPED, isShort = false, ...options }) => {
  const { seconds = isShort ? SECONDS / 2 : SECONDS, rate = RATE, bodyBytes = 2_000 } = options;
  return onHaRig({ settings }, async ({ replicas, stat, url }) => {
    const load = startOpenLoop(rate, () => sendRequest(url, { bodyBytes }));
    const phaseMs = Math.round(Math.random() * PHASE_MS_MAX);
    const calmMs = (isShort ? CALM_MS / 3 : CALM_MS) + phaseMs;
    await delay(calmMs);
    process.kill(replicas[0]!.pid, "SIGSTOP");
    const stoppedAtMs = performance.now();
    await delay(seconds * 1000 - calmMs + phaseMs);
    const outcomes = await load.stop();
    process.kill(replicas[0]!.pid, "SIGCONT");
    // What was open at the replica has ended elsewhere; it must not be counted there any more.
    for (const replica of replicas) {
      await replica.waitForMetric("endpoint_picker_open_flights", {}, 0);
    }
    const after = outcomes.filter(({ sentAtMs }) => sentAtMs >= stoppedAtMs);
    const lateMs = after.map(({ endedAtMs, sentAtMs }) => endedAtMs - sentAtMs - EXCHANGE_MS);
    const failures = failuresOf(outcomes);
    const inFlight = isShort ? openAt(outcomes, stoppedAtMs) : inFlightBound(rate);
    const worstLateMs = Math.round(Math.max(...lateMs));
    return caseReport(
      "hang",
      settings,
      outcomes,
      {
        failed: atMost(failures.length, settings.has("no-response-phase") ? 0 : inFlight),
        hanging: atMost(failures.filter(({ end }) => end === "hang").length, 0),
        failedOfSentAfter: atMost(failuresOf(after).length, 0),
        // A busy machine makes requests as late as that by itself: the time is for runs that have it to themselves.
        ...(isShort ? {} : { worstLateMs: atMost(worstLateMs, LATE_MS_MAX) }),
      },
      { retries: await stat("upstream_rq_retry"), phaseMs, worstLateMs },
    );
  });
};

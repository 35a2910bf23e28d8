/**
 * One of two replicas is gone from one moment to the next. What was passing through it is lost; nothing else may be.
 * @module
 */
import { delay } from "../../support/deadline.ts";
import { CALM_MS, type HaCase, IN_FLIGHT_BOUND, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atMost, caseReport, failuresOf } from "./report.ts";
import { sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { SHIPPED } from "./settings.ts";

const SECONDS = 10;

export const kill9: HaCase = ({ settings = SHIPPED, isShort = false, ...options }) => {
  const { seconds = isShort ? SECONDS / 2 : SECONDS } = options;
  return onHaRig({ settings }, async ({ replicas, stat, url }) => {
    const load = startOpenLoop(RATE, () => sendRequest(url));
    const calmMs = isShort ? CALM_MS / 3 : CALM_MS;
    await delay(calmMs);
    process.kill(replicas[0]!.pid, "SIGKILL");
    const killedAtMs = performance.now();
    await delay(seconds * 1000 - calmMs);
    const outcomes = await load.stop();
    const failures = failuresOf(outcomes);
    const bound = settings.has("no-response-phase") ? 0 : IN_FLIGHT_BOUND;
    return caseReport(
      "kill9",
      settings,
      outcomes,
      {
        failed: atMost(failures.length, bound),
        failedOfSentAfter: atMost(
          failures.filter(({ sentAtMs }) => sentAtMs >= killedAtMs).length,
          0,
        ),
      },
      { retries: await stat("upstream_rq_retry") },
    );
  });
};

/**
 * One of two replicas pauses for less than what counts as hung, as a collection of garbage might make it.
 * @module
 */
import { delay } from "../../support/deadline.ts";
import { CALM_MS, type HaCase, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atMost, caseReport, failuresOf } from "./report.ts";
import { EXCHANGE_MS, sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { SHIPPED } from "./settings.ts";

const SECONDS = 10;
const STALL_MS = 450;

export const stall: HaCase = ({ settings = SHIPPED, seconds = SECONDS }) =>
  onHaRig({ settings }, async ({ replicas, url }) => {
    const load = startOpenLoop(RATE, () => sendRequest(url));
    await delay(CALM_MS);
    process.kill(replicas[0]!.pid, "SIGSTOP");
    await delay(STALL_MS);
    process.kill(replicas[0]!.pid, "SIGCONT");
    await delay(seconds * 1000 - CALM_MS - STALL_MS);
    const outcomes = await load.stop();
    const lateMs = outcomes.map(({ endedAtMs, sentAtMs }) => endedAtMs - sentAtMs - EXCHANGE_MS);
    return caseReport(
      "stall",
      settings,
      outcomes,
      { failed: atMost(failuresOf(outcomes).length, 0) },
      { worstLateMs: Math.round(Math.max(...lateMs)) },
    );
  });

/**
 * Both replicas are restarted one after the other under load, as a rollout does.
 * @module
 */
import { delay, within } from "../../support/deadline.ts";
import { CALM_MS, type HaCase } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atLeast, atMost, caseReport, failuresOf } from "./report.ts";
import { sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { HEALTH_CHECKS_ONLY } from "./settings.ts";

const ROLLING_RATE = 200;
const SENT_MIN = 2_800;

export const rolling: HaCase = ({ settings = HEALTH_CHECKS_ONLY, isShort = false }) => {
  const graceMs = isShort ? 2_000 : 5_000;
  return onHaRig({ settings, flags: [`--drain-grace=${graceMs}ms`] }, async (rig) => {
    const load = startOpenLoop(isShort ? ROLLING_RATE / 2 : ROLLING_RATE, () =>
      sendRequest(rig.url),
    );
    await delay(isShort ? CALM_MS / 3 : CALM_MS);
    let restarts = 0;
    for (const [place, replica] of [...rig.replicas].entries()) {
      process.kill(replica.pid, "SIGTERM");
      const { code } = await within(replica.exited, graceMs * 3, "end of the drain");
      await rig.restart(place);
      await rig.waitHealthy(rig.replicas.length);
      if (code === 0) restarts++;
    }
    await delay(CALM_MS / 3);
    const outcomes = await load.stop();
    return caseReport("rolling", settings, outcomes, {
      failed: atMost(failuresOf(outcomes).length, 0),
      sent: atLeast(outcomes.length, isShort ? SENT_MIN / 4 : SENT_MIN),
      cleanRestarts: atLeast(restarts, rig.replicas.length),
    });
  });
};

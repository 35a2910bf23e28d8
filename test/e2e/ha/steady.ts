/**
 * Nothing happens: many exchanges over one connection, plain and streamed, and no retry that could hide a failure.
 * @module
 */
import { delay } from "../../support/deadline.ts";
import type { HaCase } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atMost, caseReport, failuresOf } from "./report.ts";
import { sendRequest } from "./request.ts";
import { onHaRig } from "./rig.ts";
import { NO_SETTINGS } from "./settings.ts";

const STEADY_RATE = 400;
const SECONDS = 60;
const SERVERS = 4;

export const steady: HaCase = ({ settings = NO_SETTINGS, seconds = SECONDS }) =>
  onHaRig({ settings, replicas: 1, servers: SERVERS }, async ({ stat, url }) => {
    const load = startOpenLoop(STEADY_RATE, (i) => sendRequest(url, { isPlain: i % 2 === 0 }));
    await delay(seconds * 1000);
    const outcomes = await load.stop();
    return caseReport("steady", settings, outcomes, {
      failed: atMost(failuresOf(outcomes).length, 0),
      goawaysFromPicker: atMost(await stat("upstream_cx_close_notify"), 0),
      connections: atMost(await stat("upstream_cx_total"), 1),
    });
  });

/**
 * A restart at one address, behind an Envoy without any of the settings: the listening socket belongs to a parent, the new
 * process accepts from it before the old one is asked to go.
 * @module
 */
import { delay, within } from "../../support/deadline.ts";
import {
  freePickerPorts,
  type RunningEndpointPicker,
  startEndpointPicker,
} from "../../support/endpoint-picker.ts";
import { findEnvoy, NO_ENVOY_REASON, startEnvoyWith } from "../../support/envoy.ts";
import { startEchoServer } from "../rig.ts";
import { CALM_MS, type HaCase, RATE } from "./case.ts";
import { startOpenLoop } from "./open-loop.ts";
import { atLeast, atMost, caseReport, failuresOf, holds } from "./report.ts";
import { sendRequest } from "./request.ts";
import { haBootstrap, NO_SETTINGS } from "./settings.ts";
import { holdSocket } from "./socket-holder.ts";

const SECONDS = 8;
const GRACE_MS = 1_000;

export const handover: HaCase = async ({ settings = NO_SETTINGS, isShort = false, ...options }) => {
  const { seconds = isShort ? SECONDS / 2 : SECONDS } = options;
  const binary = findEnvoy();
  if (binary === null) throw new Error(NO_ENVOY_REASON);
  const stops: (() => unknown)[] = [];
  try {
    const server = await startEchoServer("server-0");
    stops.push(() => server.child.kill());
    const holder = await holdSocket();
    stops.push(() => holder.close());
    const start = async (): Promise<RunningEndpointPicker> => {
      const replica = await startEndpointPicker({
        endpoints: [server.endpoint],
        flags: [`--drain-grace=${GRACE_MS}ms`],
        waitForScrapes: true,
        launch: holder.launch,
      });
      stops.push(() => replica.kill());
      return replica;
    };
    const old = await start();
    const pickers = [{ ...(await freePickerPorts()), grpc: holder.port }];
    const envoy = await startEnvoyWith(binary, haBootstrap(settings, pickers));
    stops.push(() => envoy.stop());

    const load = startOpenLoop(RATE, () => sendRequest(envoy.url));
    await delay(CALM_MS / 3);
    const next = await start();
    process.kill(old.pid, "SIGTERM");
    const { code } = await within(old.exited, GRACE_MS + 10_000, "end of the old process");
    const left = load.startedAtMs + seconds * 1000 - performance.now();
    await delay(Math.max(CALM_MS / 3, left));
    const outcomes = await load.stop();
    const servedByNext = next.metrics().then((page) => /^llm_d_epp_request_total/m.test(page));
    return caseReport("handover", settings, outcomes, {
      failed: atMost(failuresOf(outcomes).length, 0),
      sent: atLeast(outcomes.length, RATE * seconds),
      exitCode: holds(code, code === 0),
      newProcessServes: holds(String(await servedByNext), await servedByNext),
    });
  } finally {
    for (const one of stops.reverse()) await one();
  }
};

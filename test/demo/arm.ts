/**
 * One arm of the comparison: fresh servers, a gateway in front of them, the planned conversations through it, and the
 * figures that came out.
 * @module
 */
import type { Decision } from "../../scheduler/index.ts";
import { delay } from "../support/deadline.ts";
import { startGateway } from "../support/embedded-gateway.ts";
import { type ServerAddress, startEmulatedServers } from "../support/emulated-servers.ts";
import { type RunningEndpointPicker, startEndpointPicker } from "../support/endpoint-picker.ts";
import { startEnvoy } from "../support/envoy.ts";
import { Board, prefixHitRatio, readReport, type ServerReport } from "./board.ts";
import { ChatClient, type ChatFigures, percentile } from "./chat-client.ts";
import { ADAPTERS, BASE_MODEL, DEMO_CONFIG, describeScorers, SERVER_COUNT } from "./profile.ts";
import type { Conversation } from "./traffic.ts";

const BOARD_INTERVAL_MS = 500;
const DECISION_TIMEOUT_MS = 2_000;

/** How requests find a server. */
export type ArmKind = "round-robin" | "endpoint-picker";

/** Everything that runs for an arm. */
export interface Rig {
  readonly url: string;
  readonly servers: readonly ServerAddress[];
  /** Names of processes that ended by themselves. */
  dead(): string[];
  /** Scorers and weights of the picker's last decision; null without a picker. */
  profile(): Promise<string | null>;
  stop(): Promise<void>;
}

/**
 * Starts servers, the picker if the arm asks it, and the gateway.
 *
 * @param envoy path of an Envoy binary, or null for the embedded gateway
 */
export async function startArm(kind: ArmKind, envoy: string | null): Promise<Rig> {
  const stops: (() => Promise<void>)[] = [];
  const alive = new Map<string, () => boolean>();
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const group = await startEmulatedServers(SERVER_COUNT, BASE_MODEL, ADAPTERS);
    stops.push(() => group.stop());
    alive.set("model servers", () => group.alive());
    let picker: RunningEndpointPicker | null = null;
    if (kind === "endpoint-picker") {
      picker = await startEndpointPicker({
        config: DEMO_CONFIG,
        endpoints: group.servers.map(({ name, host, port }) => ({ name, address: host, port })),
        waitForScrapes: true,
      });
      const started = picker;
      stops.push(() => started.kill());
      alive.set("endpoint-picker", () => started.alive());
    }
    const url = await startFront(picker, group.servers, envoy, stops, alive);
    return {
      url,
      servers: group.servers,
      dead: () => [...alive].filter(([, isAlive]) => !isAlive()).map(([name]) => name),
      profile: async () => (picker === null ? null : await profileOf(picker)),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the running process scores with, from its own record of its last decision. */
async function profileOf({ ports }: RunningEndpointPicker): Promise<string | null> {
  const url = `http://127.0.0.1:${ports.metrics}/debug/decisions?limit=1`;
  const response = await fetch(url, { signal: AbortSignal.timeout(DECISION_TIMEOUT_MS) });
  const { decisions } = (await response.json()) as { decisions: readonly Decision[] };
  const scorers = decisions[0]?.profiles[0]?.scorers;
  return scorers === undefined ? null : describeScorers(scorers);
}

async function startFront(
  picker: RunningEndpointPicker | null,
  servers: readonly ServerAddress[],
  envoy: string | null,
  stops: (() => Promise<void>)[],
  alive: Map<string, () => boolean>,
): Promise<string> {
  if (envoy !== null) {
    const endpoints = servers.map(({ host, port }) => ({ address: host, port }));
    const running = await startEnvoy(envoy, {
      extProcPort: picker?.ports.grpc ?? null,
      route: { kind: "override-host", endpoints },
    });
    stops.push(() => running.stop());
    alive.set("Envoy", () => running.alive());
    return running.url;
  }
  const gateway = await startGateway({
    extProcAddress: picker?.address ?? "127.0.0.1:1",
    mode: picker === null ? { roundRobin: servers.map(({ address }) => address) } : "ext-proc",
  });
  stops.push(() => gateway.close());
  return gateway.url;
}

/** What an arm measured. */
export interface ArmResult {
  readonly figures: ChatFigures;
  readonly reports: readonly ServerReport[];
  readonly ttftP50Ms: number;
  readonly ttftP95Ms: number;
  readonly prefixHits: number;
  readonly adapterLoads: number;
  /** Processes that ended by themselves. */
  readonly dead: readonly string[];
  /** What the picker ran, from its own decisions; null without a picker. */
  readonly profile: string | null;
}

/** Plays the conversations and shows the board while they run. */
export async function playArm(
  rig: Rig,
  title: string,
  conversations: readonly Conversation[],
  seconds: number,
): Promise<ArmResult> {
  const client = new ChatClient(rig.url);
  const board = new Board(title, seconds);
  const begin = performance.now();
  let playing = true;
  const played = client.play(conversations, seconds).finally(() => {
    playing = false;
  });
  const watched = (async () => {
    while (playing) {
      const reports = await Promise.all(rig.servers.map(readReport));
      board.draw(performance.now() - begin, reports, client.figures);
      await delay(BOARD_INTERVAL_MS);
    }
  })();
  await Promise.all([played, watched]);
  const reports = await Promise.all(rig.servers.map(readReport));
  const { figures } = client;
  return {
    figures,
    reports,
    ttftP50Ms: percentile(figures.ttftMs, 0.5),
    ttftP95Ms: percentile(figures.ttftMs, 0.95),
    prefixHits: prefixHitRatio(reports),
    adapterLoads: reports.reduce((sum, report) => sum + report.adapterLoads, 0),
    dead: rig.dead(),
    profile: await rig.profile(),
  };
}

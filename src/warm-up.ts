/**
 * Practice before the first request: exchanges of our own making go over a loopback connection through the very code and
 * configuration of this process, with a pool, a scheduler and counters that are thrown away. V8 compiles the hot path
 * meanwhile; otherwise it does so while the first thousands of requests wait, at twice the CPU and three times the
 * latency (docs/benchmarks.md).
 *
 * Whatever goes wrong here ends the practice and nothing else.
 * @module
 */
import { connect, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { type Clock, DecisionRecorder, EndpointPool, Known } from "../scheduler/index.ts";
import { EndpointRow, EndpointTable, EndpointTableReader } from "../scrapers/index.ts";
import { acceptExtProc, createDataPlane, type DataPlaneOptions } from "./data-plane.ts";
import {
  Flag,
  FrameType,
  frame,
  PREFACE,
  Setting,
  settingsFrame,
  u32Frame,
} from "./ingress/h2/frames.ts";
import { H2Transport } from "./ingress/h2/h2-transport.ts";
import { Metrics } from "./metrics/metrics.ts";
import {
  framesOf,
  headOf,
  type PracticeExchange,
  practiceExchanges,
  resetOf,
} from "./practice-exchanges.ts";
import { ResourceStore } from "./request/inference-resources.ts";

export const warmUpLimits = {
  /**
   * What is compiled for the only instance of everything is thrown away when there is another: the later rounds are
   * those other ones, and the last code is general.
   */
  rounds: 4,
  /** Exchanges of a round. */
  exchangesMax: 1000,
  /** The start waits no longer. */
  millisecondsMax: 2000,
} as const;

const ENDPOINTS = 8;
/** So many exchanges are played step by step, as they come when there is time; then as many all at once. */
const EXCHANGES_PER_BURST = 10;
const EXCHANGES_PER_SCRAPE = 3;
/** As Envoy has them: wide enough to be never in the way. */
const WINDOW_BYTES = 256 << 20;
const GRANT_BYTES = 1000;
const PING = frame(FrameType.Ping, 0, 0, Buffer.alloc(8));
const SETTINGS_ACK = frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(0));
const ALL_KNOWN = Object.values(Known).reduce((all, bit) => all | bit, 0);
/** Age of facts that are hardly believed any more. */
const STALE_MS = 1500;
const HOST = "127.0.0.1";

type WarmUpOptions = Pick<DataPlaneOptions, "config" | "flags" | "clock">;

/** @returns exchanges that were practiced */
export async function warmUp(options: WarmUpOptions): Promise<number> {
  const { clock } = options;
  const untilMs = clock.nowMs() + warmUpLimits.millisecondsMax;
  const scripts = practiceExchanges();
  let exchanges = 0;
  for (let round = 0; round < warmUpLimits.rounds; round++) {
    exchanges += await playRound(options, scripts, () => clock.nowMs() < untilMs);
  }
  return exchanges;
}

async function playRound(
  base: WarmUpOptions,
  scripts: readonly PracticeExchange[],
  hasTime: () => boolean,
): Promise<number> {
  const { clock } = base;
  const pool = practicePool();
  const table = EndpointTable.create(ENDPOINTS);
  const plane = createDataPlane({
    ...base,
    pool,
    metrics: new Metrics({ collectsProcess: false }),
    recorder: new DecisionRecorder(1),
    reader: new EndpointTableReader(table),
    resources: new ResourceStore({ group: "", namespace: "", name: "" }),
    onFault: () => {},
    warn: () => {},
  });
  const transport = new H2Transport({
    accept: acceptExtProc(plane.context, () => null),
  });
  let socket: Socket | null = null;
  try {
    const port = await transport.listen(0, HOST);
    socket = connect({ host: HOST, port });
    socket.on("error", () => {}); // the counters below stand still then, and the deadline ends the practice
    socket.resume();
    await practice(socket, transport, scripts, hasTime, (time) => scrape(table, pool, clock, time));
  } catch {
    // No loopback, no practice.
  } finally {
    socket?.destroy();
    await transport.drain(0);
  }
  return transport.stats.streamsTotal;
}

async function practice(
  socket: Socket,
  { stats }: H2Transport,
  scripts: readonly PracticeExchange[],
  hasTime: () => boolean,
  scrapeOnce: (time: number) => void,
): Promise<void> {
  socket.write(PREFACE);
  socket.write(settingsFrame([[Setting.InitialWindowSize, WINDOW_BYTES]]));
  socket.write(u32Frame(FrameType.WindowUpdate, 0, WINDOW_BYTES));
  socket.write(SETTINGS_ACK);
  for (let i = 0; i < warmUpLimits.exchangesMax && hasTime(); i++) {
    if (i % EXCHANGES_PER_SCRAPE === 0) scrapeOnce(i / EXCHANGES_PER_SCRAPE);
    const script = scripts[i % scripts.length]!;
    const id = 2 * i + 1;
    const head = headOf(i);
    const isInSteps = i % (2 * EXCHANGES_PER_BURST) < EXCHANGES_PER_BURST;
    await (isInSteps ? playInSteps(socket, id, head, script) : play(socket, id, head, script));
    if (isInSteps || (i + 1) % EXCHANGES_PER_BURST > 0) continue;
    while (stats.streamsTotal <= i && hasTime()) await setImmediate();
  }
  while (stats.streams > 0 && hasTime()) await setImmediate();
}

/** Each part is read, and answered, before the next one is written: loopback needs a turn of the event loop for it. */
async function playInSteps(
  socket: Socket,
  id: number,
  head: Buffer,
  { request, responseChunks, responseHead }: PracticeExchange,
): Promise<void> {
  write(socket, ...framesOf(id, head, request));
  await setImmediate();
  write(socket, u32Frame(FrameType.WindowUpdate, 0, GRANT_BYTES), PING);
  await setImmediate();
  write(socket, ...framesOf(id, null, responseHead));
  await setImmediate();
  write(socket, u32Frame(FrameType.WindowUpdate, id, GRANT_BYTES));
  for (const chunk of responseChunks) write(socket, ...framesOf(id, null, chunk));
  await setImmediate();
  write(socket, resetOf(id));
}

function play(
  socket: Socket,
  id: number,
  head: Buffer,
  { request, responseChunks, responseHead }: PracticeExchange,
): void {
  write(
    socket,
    ...framesOf(id, head, Buffer.concat([request, responseHead, ...responseChunks])),
    resetOf(id),
  );
}

/** In one system call. */
function write(socket: Socket, ...frames: readonly Buffer[]): void {
  socket.cork();
  for (const bytes of frames) socket.write(bytes);
  socket.uncork();
}

function practicePool(): EndpointPool {
  const pool = new EndpointPool();
  for (let i = 0; i < ENDPOINTS; i++) {
    const name = `practice-${i}`;
    pool.upsert({
      id: `default/${name}`,
      name,
      namespace: "default",
      address: HOST,
      port: i + 1,
      labels: new Map(),
      rankIndex: 0,
    });
  }
  return pool;
}

/** Facts of all endpoints: mostly different from one to the next, now and then all the same, stale, or missing. */
function scrape(table: EndpointTable, pool: EndpointPool, clock: Clock, time: number): void {
  const row = new EndpointRow();
  const spread = time % 4 === 0 ? 0 : 1;
  for (let i = 0; i < pool.liveCount; i++) {
    const slot = pool.live[i]!;
    row.generation = pool.columns.generation[slot]!;
    row.waiting = (slot % 3) * spread;
    row.running = slot * spread;
    row.kvUtilization = (slot * spread) / 10;
    row.cacheBlockSize = 16;
    row.cacheBlocks = 1000;
    row.activeAdapterCount = time % 2;
    row.waitingAdapterCount = time % 3 === 0 ? 1 : 0;
    row.known = time % 16 === 15 ? 0 : ALL_KNOWN;
    row.scrapeStartMs = clock.nowMs() - (time % 8 === 7 ? STALE_MS : 0);
    row.scrapeEndMs = row.scrapeStartMs + 1;
    row.scrapesOk = time;
    table.write(slot, row);
  }
}

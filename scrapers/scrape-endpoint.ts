/**
 * One endpoint under scrape: fetches its page, has it read by the scanner of its engine, and publishes the row. When
 * to do so is decided by the scrape loop.
 *
 *   idle ──start()──▶ fetching ──page──▶ row written ──▶ idle
 *                        │ └──failure──▶ failures + 1 ──▶ idle
 *                        └──deadline (the loop calls timeOut)──▶ failure "timeout", socket closed
 * @module
 */
import { type Clock, Known } from "../scheduler/index.ts";
import { type ConnectionSettings, MetricsConnection } from "./connection.ts";
import { DueTimes } from "./due-times.ts";
import { EndpointRow, type EndpointTable } from "./endpoint-table.ts";
import type { EngineChoice, EngineRegistry } from "./engines/registry.ts";
import type { ScanHints } from "./family-lines.ts";
import type { FailureReason, ScrapeCounters, ScrapeTarget, WarningKind } from "./messages.ts";
import type { PageBuffers } from "./page-buffer.ts";
import { type AdapterList, PageFacts, Remark } from "./page-facts.ts";
import type { PageScanner } from "./scan-metrics.ts";

/** Tried in turn when the path is not configured; the second is that of trtllm-serve, whose first one is JSON. */
const DEFAULT_PATHS = ["/metrics", "/prometheus/metrics"] as const;

const HTTP_NOT_FOUND = 404;

/** Failures after which the next attempt may have to wait: the others cost the engine and us hardly anything. */
const REFUSALS: ReadonlySet<FailureReason> = new Set([
  "refused",
  "unreachable",
  "reset",
  "tls",
  "too-large",
]);

/** What the endpoints of one thread share. */
export interface ScrapeContext {
  readonly table: EndpointTable;
  readonly clock: Clock;
  readonly random: () => number;
  readonly counters: ScrapeCounters;
  readonly buffers: PageBuffers;
  /** Of the present configuration; replaced as a whole. */
  settings: {
    readonly connection: ConnectionSettings;
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly path: string | null;
    readonly registry: EngineRegistry;
    scannerOf(engine: EngineChoice["engine"]): PageScanner;
  };
  namesSeen(adapters: AdapterList): void;
  warn(endpoint: ScrapeTarget, kind: WarningKind, detail: string): void;
}

/** One for all endpoints of the thread: a page is read and applied in one go. */
const facts = new PageFacts();

export class ScrapeEndpoint {
  readonly target: ScrapeTarget;
  readonly due: DueTimes;
  /** Clock at which the scrape under way is given up, ms; Infinity = none is under way. */
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly #context: ScrapeContext;
  readonly #row = new EndpointRow();
  readonly #warned = new Set<WarningKind>();
  #connection!: MetricsConnection;
  #choice!: EngineChoice;
  #scanner!: PageScanner;
  #hints!: ScanHints;
  #pathIndex = 0;
  #pathAnswered = false;
  #startMs = 0;

  constructor(target: ScrapeTarget, context: ScrapeContext) {
    this.target = target;
    this.#context = context;
    const { slot, generation } = target;
    const { clock, random, settings } = context;
    this.due = new DueTimes(slot, clock.nowMs(), settings.intervalMs, random);
    // After a restart of the thread the row is still there: the endpoint goes on where it was.
    if (context.table.read(slot, this.#row) < 0 || this.#row.generation !== generation) {
      this.#row = new EndpointRow();
      this.#row.generation = generation;
    }
    this.configured();
  }

  get isFetching(): boolean {
    return this.deadlineMs !== Number.POSITIVE_INFINITY;
  }

  /** Takes over the context's settings; a scrape under way is forgotten. */
  configured(): void {
    const { settings, buffers } = this.#context;
    this.stop();
    const { address, port, engineLabel } = this.target;
    this.#connection = new MetricsConnection(address, port, settings.connection, buffers);
    this.due.setInterval(settings.intervalMs);
    this.#choice = settings.registry.choose(engineLabel);
    if (this.#choice.kind === "unknown-label") this.#warn("unknown-engine", engineLabel);
    this.#readWith(settings.scannerOf(this.#choice.engine));
  }

  /** Begins a scrape; none may be under way. */
  start(nowMs: number): void {
    const { path, timeoutMs } = this.#context.settings;
    this.#startMs = nowMs;
    this.deadlineMs = nowMs + timeoutMs;
    this.due.advance(nowMs);
    this.#connection.get(path ?? DEFAULT_PATHS[this.#pathIndex]!, this.#done);
  }

  timeOut(): void {
    this.#connection.abort("timeout");
  }

  /** Closes the socket; nothing is written any more. */
  stop(): void {
    this.#connection?.close();
    this.deadlineMs = Number.POSITIVE_INFINITY;
  }

  readonly #done = (failure: FailureReason | null, page: Buffer, status: number): void => {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    const { clock, counters } = this.#context;
    const endMs = clock.nowMs();
    let reason = failure;
    if (reason === null && this.#read(page) === 0) reason = "no-facts";
    if (reason === null) {
      this.due.answered();
      this.#pathAnswered = true;
      counters.scrapesOk++;
      counters.pageBytes += page.length;
      this.#publishFacts(endMs);
      return;
    }
    if (REFUSALS.has(reason)) this.due.refused(endMs);
    else if (reason !== "timeout") this.due.answered();
    if (reason === "no-facts" || status === HTTP_NOT_FOUND) this.#tryOtherPath();
    counters.scrapesFailed[reason]++;
    this.#row.scrapeFailures++;
    this.#context.table.write(this.target.slot, this.#row);
  };

  /** @returns `Known` bits of what was found */
  #read(page: Buffer): number {
    const found = this.#scanner.scan(page, this.#hints, facts);
    // An attribute may stand on the page of any server.
    const isOfEngine = (found & ~Known.scalars) !== 0;
    if (isOfEngine || this.#choice.kind === "labeled") return found;
    const { registry, scannerOf } = this.#context.settings;
    const detected = registry.detect(page);
    if (detected === null || detected === this.#scanner.engine) return found;
    this.#readWith(scannerOf(detected));
    this.#warn("engine-detected", detected.name);
    return this.#scanner.scan(page, this.#hints, facts);
  }

  #readWith(scanner: PageScanner): void {
    this.#scanner = scanner;
    this.#hints = scanner.createHints();
  }

  /** A path that has ever given metrics is kept: a passing error does not make it wrong. */
  #tryOtherPath(): void {
    if (!this.#pathAnswered) this.#pathIndex = (this.#pathIndex + 1) % DEFAULT_PATHS.length;
  }

  /** A fact that the page does not supply keeps its old value and loses its `Known` bit. */
  #publishFacts(endMs: number): void {
    const row = this.#row;
    const { found } = facts;
    row.known = found;
    row.scalars.set(facts.scalars);
    row.scrapeStartMs = this.#startMs;
    row.scrapeEndMs = endMs;
    row.scrapeFailures = 0;
    row.scrapesOk = (row.scrapesOk + 1) >>> 0;
    if ((found & Known.waiting) !== 0) row.waiting = facts.waiting;
    if ((found & Known.running) !== 0) row.running = facts.running;
    if ((found & Known.kvUtilization) !== 0) row.kvUtilization = facts.kvUtilization;
    if ((found & Known.cacheBlockSize) !== 0) row.cacheBlockSize = facts.cacheBlockSize;
    if ((found & Known.cacheBlocks) !== 0) row.cacheBlocks = facts.cacheBlocks;
    if ((found & Known.adapters) !== 0) {
      if (facts.maxAdapters >= 0) row.maxAdapters = facts.maxAdapters;
      row.activeAdapterCount = facts.activeAdapters.count;
      row.activeAdapters.set(facts.activeAdapters.hashes);
      row.waitingAdapterCount = facts.waitingAdapters.count;
      row.waitingAdapters.set(facts.waitingAdapters.hashes);
      this.#context.namesSeen(facts.activeAdapters);
      this.#context.namesSeen(facts.waitingAdapters);
    }
    this.#context.table.write(this.target.slot, row);
    if (facts.remarks !== 0) this.#remark(facts.remarks);
  }

  #remark(remarks: number): void {
    if ((remarks & Remark.kvPercent) !== 0) this.#warn("kv-percent", "");
    if ((remarks & Remark.labelInteger) !== 0) this.#warn("label-integer", "");
  }

  #warn(kind: WarningKind, detail: string): void {
    if (this.#warned.has(kind)) return;
    this.#warned.add(kind);
    this.#context.warn(this.target, kind, detail);
  }
}

/**
 * The pool: one slot per endpoint, facts as struct of arrays, identity and labels beside them.
 *
 *   slot      0        1        2        3
 *   meta      pod-a    (free)   pod-c    pod-d      identity, labels, address
 *   waiting   3        ·        0        12         one typed array a column
 *   live      0 2 3                                 slots in use, in the order of arrival
 *
 * A slot that is freed is given to a later endpoint with a higher generation, so whoever kept (slot, generation) can
 * tell. Columns are replaced when the pool grows: read `pool.columns` anew at each call, never keep an array.
 * @module
 */
import { limits } from "./limits.ts";

/** Identity of an endpoint: `namespace/name`, one port of one pod. */
export interface EndpointMetadata {
  /** `namespace/name`, the key everywhere. */
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  /** IPv4 or IPv6 literal without brackets. */
  readonly address: string;
  readonly port: number;
  readonly labels: ReadonlyMap<string, string>;
  /** Index of the port among the pool's target ports (data-parallel rank). */
  readonly rankIndex: number;
}

/** Bits of `columns.known`: which facts the newest good scrapes supplied. */
export const Known = {
  waiting: 1,
  running: 2,
  kvUtilization: 4,
  adapters: 8,
  cacheBlockSize: 16,
  cacheBlocks: 32,
  /** At least one of the scalar attributes. */
  scalars: 64,
} as const;

/** One row (slot) per endpoint. Scraped columns are written from snapshots, own columns by accounting only. */
export interface EndpointColumns {
  /** Length of every column. */
  readonly capacity: number;
  /** Requests queued in the engine. */
  readonly waiting: Int32Array;
  /** Requests in the engine's batch. */
  readonly running: Int32Array;
  /** KV-cache utilization, ratio 0..1 (not clamped: an engine may report more). */
  readonly kvUtilization: Float64Array;
  /** Adapter slots of the engine; 0 = no LoRA facts. */
  readonly maxAdapters: Int32Array;
  /** Tokens per KV block; 0 = unknown. */
  readonly cacheBlockSize: Int32Array;
  /** KV blocks of the engine; 0 = unknown. */
  readonly cacheBlocks: Int32Array;
  /** Adapters in use: count, and name hashes (lo, hi) at [slot * 2 * adaptersPerEndpointMax …). */
  readonly activeAdapterCount: Int32Array;
  readonly activeAdapters: Uint32Array;
  /** Adapters with waiting requests, same layout. */
  readonly waitingAdapterCount: Int32Array;
  readonly waitingAdapters: Uint32Array;
  /** Scalar attributes that the configuration names, [slot * scalarsPerEndpointMax …); NaN = not supplied. */
  readonly scalars: Float64Array;
  /** `Known` bits. */
  readonly known: Int32Array;
  /** Clock at the start of the newest good scrape, ms; 0 = never scraped. */
  readonly scrapedAtMs: Float64Array;
  /** Failed scrapes in a row. */
  readonly scrapeFailures: Int32Array;
  /** Own requests sent and not completed. */
  readonly inflight: Int32Array;
  /** Own tokens in flight as charged at the pick. */
  readonly inflightTokens: Float64Array;
  /** Own requests dispatched minus completed since the newest good scrape; may be negative. */
  readonly creditSinceScrape: Int32Array;
  /** Raised each time the slot is given to another endpoint. */
  readonly generation: Int32Array;
}

/** Told about arrivals and departures; both are called synchronously, after the pool has changed. */
export interface PoolObserver {
  endpointAdded(slot: number): void;
  endpointRemoved(slot: number): void;
}

const INITIAL_CAPACITY = 16;

export class EndpointPool {
  columns: EndpointColumns = createColumns(INITIAL_CAPACITY);
  /** Slots in use, oldest first; only [0, liveCount) counts. */
  live: Int32Array = new Int32Array(INITIAL_CAPACITY);
  liveCount = 0;
  /** Moves with every change of membership or metadata. */
  version = 0;

  readonly #metadata: (EndpointMetadata | undefined)[] = [];
  readonly #hostPorts: string[] = [];
  readonly #slotById = new Map<string, number>();
  readonly #slotByHostPort = new Map<string, number>();
  readonly #free: number[] = [];
  readonly #observers: PoolObserver[] = [];
  #used = 0;

  observe(observer: PoolObserver): void {
    this.#observers.push(observer);
  }

  /**
   * Adds an endpoint, or replaces the metadata of the one with this id (its facts and accounting stay).
   *
   * @returns its slot, or -1 when the pool is full (limits.endpointsMax)
   */
  upsert(metadata: EndpointMetadata): number {
    const known = this.#slotById.get(metadata.id);
    if (known !== undefined) {
      const before = this.#metadata[known]!;
      if (before.address !== metadata.address || before.port !== metadata.port) {
        // Another address is another engine: its facts and flights are not the old one's.
        this.remove(metadata.id);
        return this.upsert(metadata);
      }
      this.#metadata[known] = metadata;
      this.version++;
      return known;
    }
    if (this.liveCount >= limits.endpointsMax) return -1;
    const slot = this.#free.pop() ?? this.#used++;
    if (slot >= this.columns.capacity) this.#grow();
    clearRow(this.columns, slot);
    this.columns.generation[slot] = this.columns.generation[slot]! + 1;
    this.#metadata[slot] = metadata;
    const hostPort = formatHostPort(metadata.address, metadata.port);
    this.#hostPorts[slot] = hostPort;
    this.#slotById.set(metadata.id, slot);
    this.#slotByHostPort.set(hostPort, slot);
    this.live[this.liveCount++] = slot;
    this.version++;
    for (const observer of this.#observers) observer.endpointAdded(slot);
    return slot;
  }

  /** Removes an endpoint. @returns the slot it had, or -1 when it was not there */
  remove(id: string): number {
    const slot = this.#slotById.get(id);
    if (slot === undefined) return -1;
    const hostPort = this.#hostPorts[slot]!;
    this.#slotById.delete(id);
    if (this.#slotByHostPort.get(hostPort) === slot) this.#slotByHostPort.delete(hostPort);
    this.#metadata[slot] = undefined;
    const at = this.live.indexOf(slot);
    this.live.copyWithin(at, at + 1, this.liveCount);
    this.liveCount--;
    this.columns.generation[slot] = this.columns.generation[slot]! + 1; // late writers of the old endpoint miss
    clearRow(this.columns, slot);
    this.#free.push(slot);
    this.version++;
    for (const observer of this.#observers) observer.endpointRemoved(slot);
    return slot;
  }

  /** Metadata of a slot in use; throws on a free one. */
  metadata(slot: number): EndpointMetadata {
    const metadata = this.#metadata[slot];
    if (metadata === undefined) throw new RangeError(`endpoint slot ${slot} is not in use`);
    return metadata;
  }

  /** `ip:port` of a slot in use (IPv6 in brackets), built once. */
  hostPort(slot: number): string {
    return this.#hostPorts[slot]!;
  }

  /** Slot of an endpoint id, or -1. */
  slotOf(id: string): number {
    return this.#slotById.get(id) ?? -1;
  }

  /** Slot that listens on `ip:port` (IPv6 in brackets), or -1. */
  slotOfHostPort(hostPort: string): number {
    return this.#slotByHostPort.get(hostPort) ?? -1;
  }

  #grow(): void {
    const next = createColumns(Math.min(this.columns.capacity * 2, limits.endpointsMax));
    for (const key of Object.keys(next) as (keyof EndpointColumns)[]) {
      if (key === "capacity") continue;
      next[key].set(this.columns[key] as never);
    }
    this.columns = next;
    const live = new Int32Array(next.capacity);
    live.set(this.live);
    this.live = live;
  }
}

/** `ip:port`, IPv6 in brackets (net.JoinHostPort). */
export function formatHostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function createColumns(capacity: number): EndpointColumns {
  const adapterWords = capacity * limits.adaptersPerEndpointMax * 2;
  return {
    capacity,
    waiting: new Int32Array(capacity),
    running: new Int32Array(capacity),
    kvUtilization: new Float64Array(capacity),
    maxAdapters: new Int32Array(capacity),
    cacheBlockSize: new Int32Array(capacity),
    cacheBlocks: new Int32Array(capacity),
    activeAdapterCount: new Int32Array(capacity),
    activeAdapters: new Uint32Array(adapterWords),
    waitingAdapterCount: new Int32Array(capacity),
    waitingAdapters: new Uint32Array(adapterWords),
    scalars: new Float64Array(capacity * limits.scalarsPerEndpointMax).fill(Number.NaN),
    known: new Int32Array(capacity),
    scrapedAtMs: new Float64Array(capacity),
    scrapeFailures: new Int32Array(capacity),
    inflight: new Int32Array(capacity),
    inflightTokens: new Float64Array(capacity),
    creditSinceScrape: new Int32Array(capacity),
    generation: new Int32Array(capacity),
  };
}

function clearRow(columns: EndpointColumns, slot: number): void {
  columns.waiting[slot] = 0;
  columns.running[slot] = 0;
  columns.kvUtilization[slot] = 0;
  columns.maxAdapters[slot] = 0;
  columns.cacheBlockSize[slot] = 0;
  columns.cacheBlocks[slot] = 0;
  columns.activeAdapterCount[slot] = 0;
  columns.waitingAdapterCount[slot] = 0;
  const scalar = slot * limits.scalarsPerEndpointMax;
  columns.scalars.fill(Number.NaN, scalar, scalar + limits.scalarsPerEndpointMax);
  columns.known[slot] = 0;
  columns.scrapedAtMs[slot] = 0;
  columns.scrapeFailures[slot] = 0;
  columns.inflight[slot] = 0;
  columns.inflightTokens[slot] = 0;
  columns.creditSinceScrape[slot] = 0;
}

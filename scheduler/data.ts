/**
 * Per-request facts that producers compute and other plugins read, one value per candidate slot. The producer owns the
 * object for its whole life and overwrites the candidates' entries on each request; consumers take the object once, when
 * they are created, and read `array[slot]` during a pick.
 * @module
 */

/** Blocks of the prompt that an endpoint is believed to hold. */
export class PrefixMatch {
  /** Leading blocks held (a fraction where tiers are weighted). */
  matchBlocks = new Float64Array(0);
  /** Leading blocks held, unweighted. */
  cachedBlocks = new Float64Array(0);
  /** Blocks of the prompt; -1 = nothing was produced for this endpoint. */
  totalBlocks = new Int32Array(0);
  /** Tokens per block. */
  blockSizeTokens = new Int32Array(0);

  ensure(capacity: number): void {
    if (this.matchBlocks.length >= capacity) return;
    this.matchBlocks = grown(this.matchBlocks, capacity);
    this.cachedBlocks = grown(this.cachedBlocks, capacity);
    this.totalBlocks = grown(this.totalBlocks, capacity);
    this.blockSizeTokens = grown(this.blockSizeTokens, capacity);
  }
}

/** Own load on an endpoint: live, moves with every pick and completion. */
export class InflightLoad {
  requests = new Int32Array(0);
  tokens = new Float64Array(0);

  ensure(capacity: number): void {
    if (this.requests.length >= capacity) return;
    this.requests = grown(this.requests, capacity);
    this.tokens = grown(this.tokens, capacity);
  }
}

/** Tokens that this request would add to an endpoint. */
export class UncachedRequestTokens {
  tokens = new Float64Array(0);

  ensure(capacity: number): void {
    if (this.tokens.length >= capacity) return;
    this.tokens = grown(this.tokens, capacity);
  }
}

/** Predicted latency on an endpoint, ms; NaN = no prediction. */
export class LatencyPrediction {
  ttftMs = new Float64Array(0);
  tpotMs = new Float64Array(0);

  ensure(capacity: number): void {
    if (this.ttftMs.length >= capacity) return;
    this.ttftMs = grown(this.ttftMs, capacity);
    this.tpotMs = grown(this.tpotMs, capacity);
  }
}

/** Where endpoints stand, by slot; "" = not told. */
export class Topology {
  readonly hostname: string[] = [];
  readonly rack: string[] = [];
  readonly zone: string[] = [];
  readonly region: string[] = [];
}

/** Name of the session that the present request belongs to. */
export class SessionId {
  /** "" = it belongs to none. */
  value = "";
}

/** Kinds of produced data, by the name a config error would use. */
export interface DataTypes {
  "prefix-match": PrefixMatch;
  "inflight-load": InflightLoad;
  "uncached-request-tokens": UncachedRequestTokens;
  "latency-prediction": LatencyPrediction;
  "session-id": SessionId;
  topology: Topology;
}

export type DataType = keyof DataTypes;

/** Producer that is created when a required key has none (02 §3.3). */
export const DEFAULT_PRODUCERS: Readonly<Partial<Record<DataType, string>>> = {
  "prefix-match": "approx-prefix-cache-producer",
  "inflight-load": "inflight-load-producer",
  "uncached-request-tokens": "inflight-load-producer",
  "latency-prediction": "predicted-latency-producer",
};

function grown<T extends Float64Array | Int32Array>(array: T, capacity: number): T {
  const next = new (array.constructor as new (n: number) => T)(capacity);
  next.set(array);
  return next;
}

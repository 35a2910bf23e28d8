/**
 * What the exchanges of one gateway share: the connections to model servers, and the counters.
 * @module
 */
import type { Agent } from "node:http";

/** What the exchanges of one gateway share. */
export interface GatewayShared {
  readonly agent: Agent;
  readonly stats: GatewayStats;
}

/** Counters since the gateway started. */
export interface GatewayStats {
  requests: number;
  active: number;
  /** Exchanges whose response reached its end. */
  completed: number;
  clientAborts: number;
  /** Replies made by the gateway itself: 500 when the processor failed, 503 when the upstream did. */
  localReplies: number;
  immediateReplies: number;
  /** Streams that ended with an error while the exchange needed them. */
  extProcFailures: number;
  /** Replies out of order or of a kind that full duplex does not allow. */
  spuriousReplies: number;
  /** Upstream connections refused or lost before the response was complete. */
  upstreamFailures: number;
  /** Requests by destination `ip:port`. */
  readonly picks: Map<string, number>;
}

/**
 * What only the passing of time tells about a peer: that it does not answer, that it has gone, that nobody needs it. Counted
 * in sweeps, so that no event of a connection reads a clock or moves a timer.
 * @module
 */
import { h2Limits } from "./limits.ts";

/** What is due; the first that applies. */
export type Due = "nothing" | "handshake" | "settings-ack" | "keep-alive" | "ping" | "idle";

/** What a connection has seen since the last sweep. */
export interface PeerSigns {
  readonly isGreeted: boolean;
  readonly isSettingsAcked: boolean;
  /** Anything at all came from the peer. */
  readonly hasReceived: boolean;
  /** A stream is open, or was. */
  readonly hasServed: boolean;
}

export class Patience {
  #ageMs = 0;
  #silentMs = 0;
  #idleMs = 0;

  /** To be called every `sweepMs`. A part of one counts as none: nobody is cut off early. */
  sweep({ isGreeted, isSettingsAcked, hasReceived, hasServed }: PeerSigns): Due {
    const { handshakeMs, idleMs, keepAliveMs, keepAliveTimeoutMs, settingsAckMs, sweepMs } =
      h2Limits;
    if (!isGreeted && this.#ageMs >= handshakeMs) return "handshake";
    if (!isSettingsAcked && this.#ageMs >= settingsAckMs) return "settings-ack";
    this.#ageMs += sweepMs;
    this.#silentMs = hasReceived ? 0 : this.#silentMs + sweepMs;
    this.#idleMs = hasServed ? 0 : this.#idleMs + sweepMs;
    if (this.#silentMs >= keepAliveMs + keepAliveTimeoutMs) return "keep-alive";
    if (this.#silentMs === keepAliveMs) return "ping";
    if (this.#idleMs === idleMs) return "idle";
    return "nothing";
  }
}

/**
 * Bounds of a connection, each with its unit and its reason; and what happens beyond each (docs/limits.md).
 * @module
 */

export const h2Limits = {
  connectionsMax: 1024,
  /** One gateway worker carries all its requests over one connection. */
  streamsPerConnectionMax: 10_000,

  /** How often connections are looked at for what only time can tell; the times below are exact to one of it. */
  sweepMs: 5000,
  /** Time in which a connection must do its TLS handshake, and then send preface and SETTINGS. */
  handshakeMs: 10_000,
  /** Time in which our SETTINGS must be acknowledged. */
  settingsAckMs: 10_000,
  /** Silence after which we ask by PING whether the peer is still there: a machine that is gone sends no reset. */
  keepAliveMs: 30_000,
  /** Time for its answer, or for anything else of it to come. */
  keepAliveTimeoutMs: 15_000,
  /** Time without any stream after which a connection is drained. */
  idleMs: 3_600_000,
  /** Time for which a peer may take nothing of what waits for it: windows of 0, or a socket that it does not read. */
  stallMs: 60_000,
  /** How long a peer whose connection has failed may take to read why. */
  lingerMs: 500,

  /** Bytes a peer may send ahead on one stream: a prompt of a million tokens passes without a stall. */
  streamWindowBytes: 8 << 20,
  /** The same for the connection. */
  connectionWindowBytes: 64 << 20,
  /** Unsent bytes of one stream at which we stop granting it more. */
  unsentBytesPerStreamMax: 4 << 20,
  /** Unsent bytes of all streams of a connection at which we stop granting it more. */
  unsentBytesPerConnectionMax: 64 << 20,
  /** Unsent bytes of all connections at which the one with the most is closed. */
  unsentBytesMax: 512 << 20,
  /** Bytes that the kernel has not taken yet at which DATA waits: windows say nothing about a peer that does not read. */
  backlogBytesMax: 1 << 20,
  /** The same at which reading pauses: what is beyond DATA answers the frames of a peer that does not read. */
  backlogBytesToPause: 4 << 20,

  /** Frames and bytes of one header block that comes in pieces. */
  continuationFramesMax: 16,
  headerBlockBytesMax: 64 * 1024,
  /** Streams remembered as reset by us: what the peer had sent before it learned of the reset is ignored. */
  resetIdsMax: 10_000,
  /** What a stream may have sent for it to be handed over: Envoy keeps 64 KiB of an exchange to send it again. */
  handOverBytesMax: 60 * 1024,

  /** Resets before our first answer: bucket and refill a second. */
  resetBucket: 1000,
  resetRefillPerSecond: 200,
  /** Frames that ask for work and carry nothing: bucket and refill a second. */
  controlBucket: 2000,
  controlRefillPerSecond: 1000,
  /** What a header list beyond its bound costs: its block has been walked to the end, up to 64 Ki fields. */
  headerListTokens: 1000,
  /** Open streams whose windows move by SETTINGS for the price of one token. */
  streamsMovedPerToken: 10,
  /** WINDOW_UPDATEs that a stream and a DATA frame of ours make plausible; what goes beyond takes control tokens. */
  windowUpdatesPerStream: 4,
  windowUpdatesPerData: 10,
} as const;

/** What a peer can exceed: label `limit` of endpoint_picker_h2_limits_exceeded_total. */
export const H2_LIMIT_NAMES = [
  "connections",
  "streams",
  "handshake",
  "settings-ack",
  "keep-alive",
  "idle",
  "stall",
  "unsent-bytes",
  "header-block",
  "header-list",
  "resets",
  "forced-resets",
  "refusals",
  "stray-resets",
  "ping",
  "settings",
  "empty-data",
  "window-update",
  "priority",
  "other-frame",
] as const;

export type H2LimitName = (typeof H2_LIMIT_NAMES)[number];

/** How often each limit was exceeded. */
export type ExceededLimits = Record<H2LimitName, number>;

export function noExceededLimits(): ExceededLimits {
  return Object.fromEntries(H2_LIMIT_NAMES.map((name) => [name, 0])) as ExceededLimits;
}

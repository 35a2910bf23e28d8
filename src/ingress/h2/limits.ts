/**
 * Bounds of a connection, each with its unit and its reason.
 * @module
 */

export const h2Limits = {
  connectionsMax: 1024,
  /** One gateway worker carries all its requests over one connection. */
  streamsPerConnectionMax: 10_000,
  /** Time in which a connection must do its TLS handshake, and then send preface and SETTINGS. */
  handshakeMs: 10_000,
  /** Silence after which the kernel asks whether the peer is still there: a machine that is gone sends no reset. */
  keepAliveMs: 30_000,
  /** How long a peer whose connection has failed may take to read why. */
  lingerMs: 2000,
  /** Bytes a peer may send ahead on one stream: a prompt of a million tokens passes without a stall. */
  streamWindowBytes: 8 << 20,
  /** The same for the connection. */
  connectionWindowBytes: 64 << 20,
  /** Unsent bytes of one stream at which we stop granting it more. */
  unsentBytesPerStreamMax: 4 << 20,
  /** Unsent bytes of all streams at which we stop granting the connection more. */
  unsentBytesPerConnectionMax: 64 << 20,
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
  /** Resets before our first answer, and control frames that ask for work: bucket and refill a second. */
  resetBucket: 1000,
  resetRefillPerSecond: 200,
  controlBucket: 2000,
  controlRefillPerSecond: 1000,
  /** WINDOW_UPDATEs that a stream and a DATA frame of ours make plausible; what goes beyond takes control tokens. */
  windowUpdatesPerStream: 4,
  windowUpdatesPerData: 10,
} as const;

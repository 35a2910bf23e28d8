/**
 * Every bound of the core, with its unit and its reason.
 * @module
 */

export const limits = {
  /** Endpoints in one pool; the shared table is laid out for this many (10 §C1 asks for 1,000 joining at once). */
  endpointsMax: 4096,
  /** Adapters remembered per endpoint; engines run with max_loras far below this. */
  adaptersPerEndpointMax: 32,
  /** Scalar attributes per endpoint: what a row of the shared table has room for. */
  scalarsPerEndpointMax: 7,
  /** Profiles that one request may run (encode, prefill, decode and one to spare). */
  profilesPerRequestMax: 4,
  /** Endpoints that one pick may name (primary and fallbacks). */
  endpointsPerPickMax: 16,
  /** Prompt blocks hashed per request when a producer sets no cap of its own (upstream: 2048). */
  blocksPerRequestMax: 2048,
} as const;

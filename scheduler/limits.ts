/**
 * Every bound of the core, with its unit and its reason.
 * @module
 */

export const limits = {
  /** Endpoints in one pool; the shared table is laid out for this many (10 §C1 asks for 1,000 joining at once). */
  endpointsMax: 4096,
  /** Adapters remembered per endpoint; engines run with max_loras far below this. */
  adaptersPerEndpointMax: 32,
  /** Profiles that one request may run (encode, prefill, decode and one to spare). */
  profilesPerRequestMax: 4,
  /** Endpoints that one pick may name (primary and fallbacks). */
  endpointsPerPickMax: 16,
  /** Prompt blocks hashed per request when a producer sets no cap of its own (upstream: 2048). */
  blocksPerRequestMax: 2048,
  /** Priority bands; an objective beyond them is served in band 0. */
  bandsMax: 1024,
  /** Characters of a fairness id that are told apart; clients choose it. */
  fairnessIdCharsMax: 256,
  /** Programs that program-aware fairness remembers, idle ones included. */
  programsMax: 20_000,
  /** Queues of a band that ids share which found no flow of their own. */
  overflowFlowsPerBand: 64,
  /** Requests of a band that are kept first in line because no endpoint has room: what a change of the pool tries anew. */
  setAsidePerBandMax: 8,
  /** Requests that one call of flow control dispatches or refuses before others get their turn. */
  flowSliceRequests: 64,
  /** With aging: of so many dispatches one may be that of an aged request of a lower band. */
  agedTurnEvery: 8,
  /** Time after which such a call stops, ms. */
  flowSliceMs: 1,
  /** Running requests that one decision may end for others, and how long that may take, ms. */
  revocationsPerDecisionMax: 2,
  revocationTimeoutMs: 10_000,
  /** Longest wait for a scrape that shows what an evicted request has freed, ms (upstream's grace). */
  revocationCoolingMaxMs: 2300,
  /** Longest `Retry-After`, s. */
  retryAfterSecondsMax: 30,
} as const;

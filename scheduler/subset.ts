/**
 * The gateway's subset hint: which endpoints it lets us choose from.
 * @module
 */
import type { Candidates } from "./candidates.ts";
import { formatHostPort } from "./endpoints.ts";

/** Entries `ip:port`, `ip`, `[v6]:port` or `v6`; an entry may itself be a comma list. An empty hint allows nobody. */
export type SubsetHint = readonly string[];

/** Entries looked at; a longer hint is cut. */
const ENTRIES_MAX = 8192;

/**
 * Keeps the candidates that the hint names: exactly where it gives a port, all ports of an address where it does not.
 *
 * Source: Gateway API inference extension, endpoint picker protocol; upstream compares addresses only.
 */
export function applySubset(hint: SubsetHint, candidates: Candidates): void {
  const addresses = new Set<string>();
  const hostPorts = new Set<string>();
  let seen = 0;
  for (const item of hint) {
    for (const entry of item.split(",")) {
      if (++seen > ENTRIES_MAX) break;
      addEntry(entry.trim(), addresses, hostPorts);
    }
  }
  const { pool, slots } = candidates;
  let kept = 0;
  for (let i = 0; i < candidates.count; i++) {
    const slot = slots[i]!;
    if (hostPorts.has(pool.hostPort(slot)) || addresses.has(pool.metadata(slot).address)) {
      slots[kept++] = slot;
    }
  }
  candidates.count = kept;
}

function addEntry(entry: string, addresses: Set<string>, hostPorts: Set<string>): void {
  if (entry === "") return;
  const bracket = /^\[([^\]]+)\](?::(\d+))?$/.exec(entry);
  if (bracket) {
    if (bracket[2] === undefined) addresses.add(bracket[1]!);
    else hostPorts.add(formatHostPort(bracket[1]!, Number(bracket[2])));
    return;
  }
  const colon = entry.lastIndexOf(":");
  if (colon < 0 || entry.indexOf(":") !== colon) addresses.add(entry);
  else hostPorts.add(entry);
}

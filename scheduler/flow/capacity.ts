/**
 * Whether a request may join the queue: requests and bytes, over all bands, in its band and in its flow. A full queue may
 * make room by letting go of what is less important.
 * @module
 */
import type { Band } from "./band.ts";
import type { Flow } from "./flow.ts";
import type { FlowControlSettings } from "./settings.ts";
import type { Ticket } from "./ticket.ts";

/** What is queued over all bands. */
export interface Totals {
  readonly requests: number;
  readonly bytes: number;
}

const isOver = (value: number, bound: number): boolean => bound > 0 && value > bound;

/** True when the band or the flow has no room for `size` more bytes of one more request. */
export function isBandFull({ bytes, requests, settings }: Band, flow: Flow, size: number): boolean {
  return (
    isOver(bytes + size, settings.maxBytes) ||
    isOver(requests + 1, settings.maxRequests) ||
    isOver(flow.requests + 1, settings.maxRequestsPerFlow)
  );
}

/** The same for the bounds over all bands. */
export function isQueueFull(settings: FlowControlSettings, totals: Totals, size: number): boolean {
  return (
    isOver(totals.bytes + size, settings.maxBytes) ||
    isOver(totals.requests + 1, settings.maxRequests)
  );
}

/**
 * Who has to go so that one more request of `size` bytes in `band` keeps within the bounds over all bands: newest first,
 * lowest band first, of lower bands only.
 *
 * @param bands highest priority first
 * @returns nobody when all of them together would not be enough
 */
export function displacedBy(
  band: Band,
  size: number,
  settings: FlowControlSettings,
  totals: Totals,
  bands: readonly Band[],
): readonly Ticket[] {
  let requests = totals.requests;
  let bytes = totals.bytes;
  const displaced: Ticket[] = [];
  for (let i = bands.length - 1; i >= 0 && bands[i]!.priority < band.priority; i--) {
    for (let ticket = bands[i]!.newest; ticket !== null; ticket = ticket.previous) {
      displaced.push(ticket);
      requests--;
      bytes -= ticket.request.bodyBytes;
      if (!isQueueFull(settings, { requests, bytes }, size)) return displaced;
    }
  }
  return [];
}

/**
 * What people and metrics are told of bands, flows and waiting requests: computed when asked for, kept nowhere.
 * @module
 */
import type { Band } from "./band.ts";
import type { BandStats, WaitRecord } from "./flow-control.ts";
import type { Ticket } from "./ticket.ts";

const NO_NUMBERS: Readonly<Record<string, number>> = {};

export function statsOf(band: Band, nowMs: number): BandStats {
  const { bytes, ceiling, fairness, faults, priority, requests, settings } = band;
  return {
    priority,
    requests,
    bytes,
    maxRequests: settings.maxRequests,
    maxBytes: settings.maxBytes,
    ceiling,
    flows: Array.from(band.allFlows(), (flow) => ({
      fairnessId: flow.fairnessId,
      requests: flow.requests,
      bytes: flow.bytes,
      running: flow.running,
    })),
    fairness: fairness.stats?.(nowMs) ?? NO_NUMBERS,
    fairnessFaults: faults,
  };
}

/** @returns null for a ticket that has never waited */
export function waitRecordOf(ticket: Ticket, saturation: number, nowMs: number): WaitRecord | null {
  const { band, flow, request } = ticket;
  if (band === null || flow === null || Number.isNaN(ticket.ceilingAtSubmit)) return null;
  const waits = ticket.state === "queued";
  return {
    band: band.priority,
    requestedPriority: request.priority,
    fairnessId: flow.fairnessId,
    position: waits ? positionOf(ticket) : -1,
    waitedMs: waits ? nowMs - ticket.enqueuedAtMs : ticket.waitedMs,
    expiresInMs: waits ? ticket.deadlineMs - nowMs : Number.POSITIVE_INFINITY,
    saturationAtSubmit: ticket.saturationAtSubmit,
    ceilingAtSubmit: ticket.ceilingAtSubmit,
    saturation,
    ceiling: band.ceiling,
    noRoom: ticket.triedAtChange >= 0,
  };
}

/** Requests of the same flow that go before. */
function positionOf(ticket: Ticket): number {
  const aside = ticket.band!.setAside.filter(({ flow }) => flow === ticket.flow);
  if (ticket.overtakenBy >= 0) return aside.indexOf(ticket);
  let before = aside.length;
  for (const { key, sequence } of ticket.flow!.queue.items) {
    if (key < ticket.key || (key === ticket.key && sequence < ticket.sequence)) before++;
  }
  return before;
}

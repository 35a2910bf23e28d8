import { describe, expect, test } from "vitest";
import { h2Limits } from "./limits.ts";
import { type Due, Patience, type PeerSigns } from "./patience.ts";

const QUIET: PeerSigns = {
  isGreeted: true,
  isSettingsAcked: true,
  hasReceived: false,
  hasServed: false,
};
const CHATTY: PeerSigns = { ...QUIET, hasReceived: true };
const BUSY: PeerSigns = { ...CHATTY, hasServed: true };

/** @returns what was due, with the sweeps that had passed by then */
function sweeps(patience: Patience, signs: PeerSigns, count: number): [number, Due][] {
  return Array.from({ length: count }, (_, i): [number, Due] => [
    i + 1,
    patience.sweep(signs),
  ]).filter(([, due]) => due !== "nothing");
}

const inSweeps = (ms: number): number => Math.ceil(ms / h2Limits.sweepMs);

describe("a peer", () => {
  test("that never greets is cut off after the time of the handshake, not before", () => {
    const due = sweeps(new Patience(), { ...QUIET, isGreeted: false, isSettingsAcked: false }, 5);
    expect(due[0]).toEqual([inSweeps(h2Limits.handshakeMs) + 1, "handshake"]);
  });

  test("that drips its greeting is cut off all the same", () => {
    const due = sweeps(new Patience(), { ...CHATTY, isGreeted: false, isSettingsAcked: false }, 5);
    expect(due[0]).toEqual([inSweeps(h2Limits.handshakeMs) + 1, "handshake"]);
  });

  test("that never acknowledges SETTINGS is cut off", () => {
    const due = sweeps(new Patience(), { ...BUSY, isSettingsAcked: false }, 5);
    expect(due[0]).toEqual([inSweeps(h2Limits.settingsAckMs) + 1, "settings-ack"]);
  });

  test("that is silent is asked once, and given up when nothing comes", () => {
    const { keepAliveMs, keepAliveTimeoutMs } = h2Limits;
    expect(sweeps(new Patience(), { ...QUIET, hasServed: true }, 9)).toEqual([
      [inSweeps(keepAliveMs), "ping"],
      [inSweeps(keepAliveMs + keepAliveTimeoutMs), "keep-alive"],
    ]);
  });

  test("that answers is alive, and asked again after the next silence", () => {
    const patience = new Patience();
    const silence = inSweeps(h2Limits.keepAliveMs);
    expect(sweeps(patience, { ...QUIET, hasServed: true }, silence)).toHaveLength(1);
    expect(patience.sweep(BUSY)).toBe("nothing");
    expect(sweeps(patience, { ...QUIET, hasServed: true }, silence)).toEqual([[silence, "ping"]]);
  });

  test("without streams is sent away after an hour, once", () => {
    const hour = inSweeps(h2Limits.idleMs);
    expect(sweeps(new Patience(), CHATTY, hour + 10)).toEqual([[hour, "idle"]]);
  });

  test("that had a stream begins its hour anew", () => {
    const patience = new Patience();
    const hour = inSweeps(h2Limits.idleMs);
    expect(sweeps(patience, CHATTY, hour - 1)).toEqual([]);
    patience.sweep(BUSY);
    expect(sweeps(patience, CHATTY, hour - 1)).toEqual([]);
  });
});

/**
 * The attacker, in a process of its own: carries out attacks in turn, on one connection each, with pauses. One JSON
 * line for each attack.
 * @module
 */
import { parseArgs } from "node:util";
import { FrameType } from "../../src/ingress/h2/frames.ts";
import { delay } from "../support/deadline.ts";
import { H2Peer } from "../support/h2-peer.ts";
import type { AttackReport } from "./flood.ts";
import { ATTACKS, type Attack } from "./flood-attacks.ts";

/** A connection that lives this long is not closed any more. */
const GIVE_UP_MS = 1500;
/** Handed to the socket ahead of the kernel. */
const UNSENT_BYTES_MAX = 256 * 1024;

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    /** Their indexes, with commas between. */
    attacks: { type: "string" },
    seconds: { type: "string" },
    "pause-seconds": { type: "string" },
    /** From the end of a connection to the next; none when it is absent. */
    "reconnect-ms": { type: "string" },
  },
});
const port = Number(values.port);
const attacks = values.attacks!.split(",").map((index) => ATTACKS[Number(index)]!);
const attackMs = Number(values.seconds) * 1000;
const reconnectMs = Number(values["reconnect-ms"] ?? Number.POSITIVE_INFINITY);

interface Ending {
  readonly lifeMs: number;
  /** Code of the GOAWAY; -1 = there was none. */
  readonly code: number;
  readonly isClosed: boolean;
}

const nowMs = (): number => performance.timeOrigin + performance.now();

async function attackOnce(attack: Attack, endsAtMs: number): Promise<Ending> {
  const peer = await H2Peer.connect(port, attack.settings ?? []);
  const { socket } = peer;
  let isEnded = false;
  socket.once("end", () => {
    isEnded = attack.isDeaf !== true;
  });
  socket.allowHalfOpen = attack.isDeaf === true;
  const { first, next } = attack.open();
  const beganAtMs = nowMs();
  const lastMs = attack.isStall === true ? endsAtMs : beganAtMs + GIVE_UP_MS;
  if (first.length > 0) peer.send(first);
  while (!isEnded && !peer.isClosed && nowMs() < lastMs) {
    const batch = socket.writableLength < UNSENT_BYTES_MAX ? next() : null;
    if (batch !== null && socket.writable) socket.write(batch);
    // A turn for what has come in; a timer's when there is nothing to send.
    await (batch === null ? delay(1) : new Promise((resolve) => setImmediate(resolve)));
  }
  const goaway = peer.ofType(FrameType.Goaway)[0];
  const ending = {
    lifeMs: nowMs() - beganAtMs,
    code: goaway === undefined ? -1 : goaway.payload.readUInt32BE(4),
    isClosed: isEnded || peer.isClosed,
  };
  peer.close();
  return ending;
}

for (const attack of attacks) {
  await delay(Number(values["pause-seconds"]) * 1000);
  const fromMs = nowMs();
  const endings: Ending[] = [];
  const endsAtMs = fromMs + attackMs;
  do {
    endings.push(await attackOnce(attack, endsAtMs));
    await delay(Math.max(0, Math.min(reconnectMs, endsAtMs - nowMs())));
  } while (Number.isFinite(reconnectMs) && nowMs() < endsAtMs);
  const report: AttackReport = {
    attack: attack.name,
    fromMs,
    toMs: nowMs(),
    connections: endings.length,
    open: endings.filter(({ isClosed }) => !isClosed).length,
    codes: [...new Set(endings.map(({ code }) => code))],
    lifeMsMax: Math.max(...endings.map(({ lifeMs }) => lifeMs)),
  };
  console.log(JSON.stringify(report));
}

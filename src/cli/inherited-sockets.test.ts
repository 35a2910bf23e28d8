import { expect, test } from "vitest";
import { inheritedSockets } from "./inherited-sockets.ts";

const PID = 77;

test.each([
  ["nothing is handed over", {}, {}],
  ["the variables are empty", { LISTEN_FDS: "", LISTEN_PID: "" }, {}],
  ["none are handed over", { LISTEN_FDS: "0", LISTEN_PID: "77" }, {}],
  ["they are for another process", { LISTEN_FDS: "1", LISTEN_PID: "76" }, {}],
  ["one, for this process", { LISTEN_FDS: "1", LISTEN_PID: "77" }, { grpc: 3 }],
  ["one, for whoever gets it", { LISTEN_FDS: "1" }, { grpc: 3 }],
  ["two, without names", { LISTEN_FDS: "2" }, { grpc: 3, health: 4 }],
  [
    "names in another order",
    { LISTEN_FDS: "2", LISTEN_FDNAMES: "health:grpc" },
    { health: 3, grpc: 4 },
  ],
  ["one that is not the first", { LISTEN_FDS: "1", LISTEN_FDNAMES: "health" }, { health: 3 }],
  [
    "names of units, which say nothing",
    { LISTEN_FDS: "2", LISTEN_FDNAMES: "picker.socket:picker-health.socket" },
    { grpc: 3, health: 4 },
  ],
])("%s", (_case, env, sockets) => {
  expect(inheritedSockets(env, PID)).toEqual(sockets);
});

test.each([
  [{ LISTEN_FDS: "x" }, 'LISTEN_FDS: must be 0 to 2 (gRPC and health), got "x"'],
  [{ LISTEN_FDS: "-1" }, 'LISTEN_FDS: must be 0 to 2 (gRPC and health), got "-1"'],
  [{ LISTEN_FDS: "3" }, 'LISTEN_FDS: must be 0 to 2 (gRPC and health), got "3"'],
  [
    { LISTEN_FDS: "2", LISTEN_FDNAMES: "grpc:other" },
    'LISTEN_FDNAMES: must name 2 of grpc, health, got "grpc:other"',
  ],
  [
    { LISTEN_FDS: "1", LISTEN_FDNAMES: "grpc:health" },
    'LISTEN_FDNAMES: must name 1 of grpc, health, got "grpc:health"',
  ],
  [{ LISTEN_FDS: "2", LISTEN_FDNAMES: "grpc:grpc" }, 'LISTEN_FDNAMES: "grpc" is there twice'],
])("%j is refused, saying what was expected", (env, message) => {
  expect(() => inheritedSockets(env, PID)).toThrow(message);
});

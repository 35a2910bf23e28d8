/**
 * Messages of grpc.health.v1 against protobufjs.
 * @module
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Dice, damage, scramble } from "../test/support/wire-arbitraries.ts";
import {
  decodeOracle,
  encodeOracle,
  messageType,
  splitFrames,
} from "../test/support/wire-oracle.ts";
import {
  decodeHealthCheckRequest,
  HealthStatus,
  writeHealthCheckResponse,
  writeHealthListResponse,
} from "./health.ts";
import { WireStatus, Writer } from "./wire.ts";

const checkRequest = messageType("grpc.health.v1.HealthCheckRequest");
const checkResponse = messageType("grpc.health.v1.HealthCheckResponse");
const listResponse = messageType("grpc.health.v1.HealthListResponse");

function message(write: (w: Writer) => void): Buffer {
  const w = new Writer();
  write(w);
  const messages = splitFrames(w.bytes.subarray(0, w.length));
  expect(messages.length).toBe(1);
  return messages[0]!;
}

describe("requests", () => {
  test("name the service", () => {
    expect(decodeHealthCheckRequest(Buffer.from("0a086c6976656e657373", "hex"))).toBe("liveness");
    expect(decodeHealthCheckRequest(new Uint8Array(0))).toBe("");
  });

  test("are read as protobufjs reads them, unknown fields or not", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.integer(), (service, seed) => {
        const bytes = scramble(
          checkRequest,
          encodeOracle(checkRequest, { service }),
          new Dice(seed),
        );
        expect(decodeHealthCheckRequest(bytes)).toBe(service);
      }),
    );
  });

  test("of damaged bytes give a name or a reason, and never throw", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer(), (service, seed) => {
        const bytes = damage(encodeOracle(checkRequest, { service }), new Dice(seed));
        const read = decodeHealthCheckRequest(bytes);
        if (typeof read === "number") expect(Object.values(WireStatus)).toContain(read);
      }),
    );
    expect(decodeHealthCheckRequest(Buffer.of(0x0a, 5, 1))).toBe(WireStatus.Truncated);
  });
});

describe("responses", () => {
  test("carry the status", () => {
    for (const status of Object.values(HealthStatus)) {
      const bytes = message((w) => writeHealthCheckResponse(w, status));
      expect(decodeOracle(checkResponse, bytes)["status"] ?? 0).toBe(status);
    }
    const serving = message((w) => writeHealthCheckResponse(w, HealthStatus.Serving));
    expect(serving.toString("hex")).toBe("0801");
    expect(message((w) => writeHealthCheckResponse(w, HealthStatus.Unknown)).length).toBe(0);
  });

  test("of List carry a status for each service", () => {
    const status = fc.constantFrom(...Object.values(HealthStatus));
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "binary" }), status), (services) => {
        const bytes = message((w) => writeHealthListResponse(w, Object.entries(services)));
        const read = decodeOracle(listResponse, bytes)["statuses"] as
          | Record<string, { status?: number }>
          | undefined;
        const statuses = Object.entries(read ?? {}).map(([name, each]) => [name, each.status ?? 0]);
        expect(new Map(statuses as [string, number][])).toEqual(new Map(Object.entries(services)));
      }),
    );
  });
});

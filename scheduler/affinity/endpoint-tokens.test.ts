import fc from "fast-check";
import { expect, test } from "vitest";
import { addEndpoint } from "../../test/support/plugin-setup.ts";
import { EndpointPool } from "../endpoints.ts";
import { EndpointTokens, plainToken } from "./endpoint-tokens.ts";

function poolOf(endpoints: number): EndpointPool {
  const pool = new EndpointPool();
  for (let i = 0; i < endpoints; i++) addEndpoint(pool, i);
  return pool;
}

test("a plain token is padded base64 of the id's UTF-8", () => {
  expect(plainToken("default/p1")).toBe("ZGVmYXVsdC9wMQ==");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (id) => {
      expect(plainToken(id)).toBe(Buffer.from(id).toString("base64"));
    }),
  );
});

test("each endpoint is found by its token, and nothing else finds one", () => {
  const pool = poolOf(3);
  const tokens = new EndpointTokens(pool, plainToken);
  for (let slot = 0; slot < 3; slot++) expect(tokens.slotOf(tokens.tokenOf(slot))).toBe(slot);
  for (const token of ["", "%%%", "default/p1", "ZGVmYXVsdC9wMQ"]) {
    expect(tokens.slotOf(token), token).toBe(-1);
  }
});

test("tokens follow the pool: who is gone is not found, who takes the slot has another token", () => {
  const pool = poolOf(2);
  const tokens = new EndpointTokens(pool, plainToken);
  const old = tokens.tokenOf(1);
  expect(tokens.slotOf(old)).toBe(1);
  pool.remove("default/p1");
  expect(tokens.slotOf(old)).toBe(-1);
  expect(addEndpoint(pool, 7)).toBe(1);
  expect(tokens.slotOf(old)).toBe(-1);
  expect(tokens.slotOf(plainToken("default/p7"))).toBe(1);
});

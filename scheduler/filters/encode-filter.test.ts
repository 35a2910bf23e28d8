import { expect, test } from "vitest";
import { keptBy } from "../../test/support/kept.ts";
import { encodeFilter } from "./encode-filter.ts";
import { ROLE_LABEL } from "./role-filter.ts";

const ROLES = ["encode", "decode", "encode-prefill", "both", "prefill", "encode-prefill-decode"];

test("keeps the roles that encode", () => {
  const kept = keptBy(
    encodeFilter,
    ROLES.map((role) => ({ [ROLE_LABEL]: role })),
  );
  expect(kept.map((i) => ROLES[i])).toEqual(["encode", "encode-prefill", "encode-prefill-decode"]);
});

test("drops endpoints without a role", () => {
  expect(keptBy(encodeFilter, [{}])).toEqual([]);
});

test("takes any parameters and reads none, as upstream does", () => {
  expect(encodeFilter.ignoresParameters).toBe(true);
  expect(keptBy(encodeFilter, [{ [ROLE_LABEL]: "encode" }], { roles: ["decode"] })).toEqual([0]);
});

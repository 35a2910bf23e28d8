import { expect, test } from "vitest";
import { keptBy } from "../../test/support/kept.ts";
import { prefillFilter } from "./prefill-filter.ts";
import { ROLE_LABEL } from "./role-filter.ts";

const ROLES = [
  "prefill",
  "decode",
  "encode-prefill",
  "encode",
  "prefill-decode",
  "both",
  "encode-prefill-decode",
];

test("keeps the roles that prefill", () => {
  const kept = keptBy(
    prefillFilter,
    ROLES.map((role) => ({ [ROLE_LABEL]: role })),
  );
  expect(kept.map((i) => ROLES[i])).toEqual([
    "prefill",
    "encode-prefill",
    "prefill-decode",
    "both",
    "encode-prefill-decode",
  ]);
});

test("drops endpoints without a role", () => {
  expect(keptBy(prefillFilter, [{}, { other: "prefill" }])).toEqual([]);
});

import { expect, test } from "vitest";
import { keptBy } from "../../test/support/kept.ts";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { decodeFilter } from "./decode-filter.ts";
import { ROLE_LABEL } from "./role-filter.ts";

const kept = (...roles: string[]): string[] => {
  const labels = roles.map(
    (role): Record<string, string> => (role === "absent" ? {} : { [ROLE_LABEL]: role }),
  );
  return keptBy(decodeFilter, labels).map((i) => roles[i]!);
};

test("keeps the roles that decode, and endpoints without a role", () => {
  expect(
    kept("decode", "prefill", "encode", "prefill-decode", "encode-prefill", "both", "absent"),
  ).toEqual(["decode", "prefill-decode", "both", "absent"]);
  expect(kept("encode-prefill-decode", "", "Decode", "other")).toEqual(["encode-prefill-decode"]);
});

test("emptying the list tells that there is no endpoint of the kind", () => {
  const { filter } = decodeFilter.create({}, pluginSetup(0).handle);
  expect(filter!.rejects).toBe("filtered-by-labels");
});

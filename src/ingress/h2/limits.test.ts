import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hpackLimits } from "./hpack.ts";
import { H2_LIMIT_NAMES, h2Limits } from "./limits.ts";

const page = readFileSync(new URL("../../../docs/limits.md", import.meta.url), "utf8");
const rows = new Map(
  [...page.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map(([, name, value]) => [name!, value!]),
);
const { headerListBytesMax, tableBytesMax } = hpackLimits;
const limits = { ...h2Limits, headerListBytesMax, tableBytesMax };

/** As a person would write it: 10 s, 64 KiB, 1,024. */
function written(name: string, value: number): string {
  if (name.endsWith("Ms"))
    return value >= 3_600_000 ? `${value / 3_600_000} h` : `${value / 1000} s`;
  if (name.includes("Bytes")) {
    return value >= 1 << 20 ? `${value / (1 << 20)} MiB` : `${value / 1024} KiB`;
  }
  return value.toLocaleString("en-US");
}

describe("docs/limits.md", () => {
  test.each(Object.entries(limits))("says %s = %d", (name, value) => {
    expect(`${rows.get(name)} `).toMatch(new RegExp(`^${written(name, value)}[ ,]`));
  });

  test("has no other rows", () => {
    expect([...rows.keys()].sort()).toEqual(Object.keys(limits).sort());
  });

  test.each(H2_LIMIT_NAMES)("explains the metric's label %s", (name) => {
    expect(page).toContain(`\`${name}\``);
  });
});

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type FlagDefinition, flagTable } from "./flag-table.ts";
import { availabilityOf } from "./flags.ts";

const table: readonly FlagDefinition[] = flagTable;

describe("the table", () => {
  test("has each flag once", () => {
    const names = table.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(table)("--$name has a default that passes its own bounds", (flag) => {
    if (flag.choices !== undefined) expect(flag.choices).toContain(flag.default);
    if (flag.absent !== undefined) expect(flag.absent).toContain(flag.default);
    expect(flag.doc).not.toMatch(/^[A-Z].*\.$/);
  });

  test("says at most one thing about what is not there", () => {
    for (const { absent, name, noEffect, removed } of table) {
      const said = [absent, noEffect, removed].filter((fact) => fact !== undefined);
      expect(said.length, name).toBeLessThan(2);
    }
  });
});

describe("docs/flags.md", () => {
  const page = readFileSync(new URL("../../docs/flags.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `--"));

  /** The row of a flag as the page has to have it. */
  function rowOf(flag: FlagDefinition): string {
    const { default: value, doc, env, name, type } = flag;
    const name2 = name === "v" ? "`--v`, `-v`" : `\`--${name}\``;
    const shown = value === "" ? "–" : `\`${value}\``;
    const usual = env === undefined ? shown : `\`$${env}\`, ${shown}`;
    return `| ${name2} | ${type} | ${usual} | ${doc} | ${availabilityOf(flag)} |`;
  }

  test("has the row of every flag, in the order of the table, and no other", () => {
    expect(rows).toEqual(table.map(rowOf));
  });
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { KeyTable } from "./key-table.ts";

const names = ["model", "stream", "max_tokens", "input", "items", "max_completion_tokens"];
const table = new KeyTable(names);

/** Index of the name in a JSON string with these raw contents. */
function find(raw: string): number {
  const bytes = new TextEncoder().encode(`"${raw}"`);
  return table.find(bytes, 1, bytes.length - 1);
}

/** The text with the letters chosen by `mask` written as \u escapes. */
function escaped(text: string, mask: number): string {
  return [...text]
    .map((char, i) => {
      if (((mask >>> i) & 1) === 0) return char;
      const hex = char.charCodeAt(0).toString(16).padStart(4, "0");
      return `\\u${i % 2 === 0 ? hex : hex.toUpperCase()}`;
    })
    .join("");
}

test("finds each name and tells names of equal length apart", () => {
  for (const [index, name] of names.entries()) expect(find(name)).toBe(index);
});

test("other names, prefixes and longer ones are not found", () => {
  for (const raw of ["", "m", "mode", "models", "Model", "item5", "max_tokens ", "modél"]) {
    expect(find(raw), raw).toBe(-1);
  }
});

test("finds names however their letters are escaped", () => {
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.nat(0xff_ffff), (name, mask) => {
      expect(find(escaped(name, mask))).toBe(names.indexOf(name));
    }),
  );
});

test("an escaped name that is none of them is not found", () => {
  expect(find("m\\u006fdeI")).toBe(-1);
  expect(find("\\n\\n\\n\\n\\n")).toBe(-1);
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createTokenMac, tokenMacLimits } from "./token-mac.ts";

const folder = mkdtempSync(join(tmpdir(), "token-mac-"));
afterAll(() => rmSync(folder, { recursive: true }));

function keyFile(name: string, key: string): string {
  const path = join(folder, name);
  writeFileSync(path, key);
  return path;
}

test("equal keys give equal hashes, blanks around the key do not count", () => {
  const a = createTokenMac(keyFile("a", "0123456789abcdef"));
  const b = createTokenMac(keyFile("b", "  0123456789abcdef\n"));
  expect(a("default/p1")).toBe(b("default/p1"));
  expect(a("default/p1")).not.toBe(a("default/p2"));
  const other = createTokenMac(keyFile("c", "0123456789abcdeg"));
  expect(other("default/p1")).not.toBe(a("default/p1"));
});

test("a hash is HMAC-SHA-256, cut to 16 bytes, and fit for a header", () => {
  const mac = createTokenMac(keyFile("vector", "Jefe-Jefe-Jefe-Jefe"));
  expect(mac("what do ya want")).toMatch(/^[A-Za-z0-9_-]{22}$/);
});

test("without a file there is a key of this process", () => {
  expect(createTokenMac("")("x")).toBe(createTokenMac("")("x"));
});

describe("a file that is no key is refused, by name", () => {
  test.each([
    ["short", "k".repeat(tokenMacLimits.keyBytesMin - 1)],
    ["blank", "                    "],
    ["long", "k".repeat(tokenMacLimits.keyBytesMax + 1)],
  ])("%s", (name, key) => {
    expect(() => createTokenMac(keyFile(name, key))).toThrow(`${name}: a key has 16 to 4096 bytes`);
  });

  test("absent", () => {
    const path = join(folder, "absent");
    expect(() => createTokenMac(path)).toThrow(`can not read ${path}`);
  });
});

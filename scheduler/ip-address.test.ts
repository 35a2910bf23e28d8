import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalAddress } from "./ip-address.ts";

test("spellings of one IPv6 address become one", () => {
  const canonical = "2001:db8:0:0:0:0:0:1";
  for (const spelling of [
    "2001:db8::1",
    "2001:DB8::1",
    "2001:0db8:0000:0000:0000:0000:0000:0001",
    "2001:db8:0::0:1",
    "2001:db8::0.0.0.1",
  ]) {
    expect(canonicalAddress(spelling), spelling).toBe(canonical);
  }
  expect(canonicalAddress("::")).toBe("0:0:0:0:0:0:0:0");
  expect(canonicalAddress("::1")).toBe("0:0:0:0:0:0:0:1");
  expect(canonicalAddress("fd00::")).toBe("fd00:0:0:0:0:0:0:0");
  expect(canonicalAddress("::ffff:10.1.2.3")).toBe("0:0:0:0:0:ffff:a01:203");
});

test("a zone stays what it is", () => {
  expect(canonicalAddress("FE80::1%Eth0")).toBe("fe80:0:0:0:0:0:0:1%Eth0");
});

test("what is no IPv6 address comes back as it is", () => {
  for (const text of [
    "",
    "10.0.0.1",
    "pod-a",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::1",
    "::10.0.0.256",
    "10.0.0.1::",
  ]) {
    expect(canonicalAddress(text), text).toBe(text);
  }
});

test("every way to write the groups of an address leads to the same text, and that to itself", () => {
  const group = fc.oneof(fc.constant(0), fc.nat(0xffff));
  const groups = fc.array(group, { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(groups, fc.nat(7), fc.nat(8), fc.boolean(), (numbers, from, length, isPadded) => {
      const words = numbers.map((n) => {
        const hex = n.toString(16);
        return isPadded ? hex.padStart(4, "0").toUpperCase() : hex;
      });
      const canonical = numbers.map((n) => n.toString(16)).join(":");
      expect(canonicalAddress(words.join(":"))).toBe(canonical);
      const to = Math.min(8, from + length);
      if (to === from || numbers.slice(from, to).some((n) => n !== 0)) return;
      const short = `${words.slice(0, from).join(":")}::${words.slice(to).join(":")}`;
      expect(canonicalAddress(short)).toBe(canonical);
    }),
  );
});

test("any text gives some text without an error, in one step", () => {
  const characters = fc.string({ unit: fc.constantFrom(..."0123456789abcdefF:.%[]gx ") });
  fc.assert(
    fc.property(characters, (text) => {
      const once = canonicalAddress(text);
      expect(canonicalAddress(once)).toBe(once);
    }),
  );
});

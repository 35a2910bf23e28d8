import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseBoolean, parseDurationMs, parseQuantity } from "./quantity.ts";

describe("parseDurationMs", () => {
  test.each([
    ["0", 0],
    ["+0", 0],
    ["50ms", 50],
    ["1m30s", 90_000],
    ["1h2m3s4ms5us6ns", 3_723_004.005006],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["1.s", 1000],
    ["1.1s", 1100],
    ["-1.5h", -5_400_000],
    ["+5s", 5000],
    ["10µs", 0.01],
    ["10μs", 0.01],
    ["1s1s", 2000],
  ])("reads %s", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each([
    "",
    "-",
    "5",
    "00",
    ".s",
    "s",
    "1d",
    "1 s",
    " 1s",
    "1s ",
    "--1s",
    "1e3s",
    "1s-1s",
    "0x1s",
    "1S",
    "Infinityms",
    "\n1s",
  ])("refuses %j", (text) => {
    expect(parseDurationMs(text)).toBeNull();
  });

  test("refuses what Go's 64-bit nanoseconds can not hold", () => {
    expect(parseDurationMs("2562047h")).not.toBeNull();
    expect(parseDurationMs("2562048h")).toBeNull();
    expect(parseDurationMs(`${"9".repeat(400)}h`)).toBeNull();
  });

  test("gives back every duration that Go would print", () => {
    const part = fc.integer({ min: 0, max: 59 });
    const hours = fc.integer({ min: 0, max: 100_000 });
    const ms = fc.integer({ min: 0, max: 999 });
    fc.assert(
      fc.property(hours, part, part, ms, fc.boolean(), (h, m, s, fraction, isNegative) => {
        const total = ((h * 60 + m) * 60 + s) * 1000 + fraction;
        const seconds = `${s}.${String(fraction).padStart(3, "0")}`;
        const text = `${isNegative ? "-" : ""}${h}h${m}m${seconds}s`;
        expect(parseDurationMs(text)).toBe(isNegative ? -total : total);
      }),
    );
  });

  test("never throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0123456789.+-nuµmshe \n") }), (text) => {
        const ms = parseDurationMs(text);
        expect(ms === null || Number.isFinite(ms)).toBe(true);
      }),
    );
  });
});

describe("parseQuantity", () => {
  test.each([
    ["0", 0],
    ["16777216", 16_777_216],
    ["+5", 5],
    ["64Ki", 65_536],
    ["64Mi", 67_108_864],
    ["10MiB", 10_485_760],
    ["25MB", 25_000_000],
    ["25Mb", 25_000_000],
    ["5B", 5],
    ["1k", 1000],
    ["1K", 1000],
    ["1e3", 1000],
    ["1E3", 1000],
    ["1.5e3", 1500],
    ["15e-1", 2],
    ["1Gi", 2 ** 30],
    ["1P", 1e15],
    ["4Pi", 2 ** 52],
    ["0.5Ki", 512],
    [".5k", 500],
    ["5.k", 5000],
    // A part of a byte is a byte.
    ["0.1Ki", 103],
    ["500m", 1],
    ["2000m", 2],
    ["3n", 1],
  ])("reads %s", (text, value) => {
    expect(parseQuantity(text)).toBe(value);
  });

  test("is exact where floating point is not", () => {
    expect(parseQuantity("0.067G")).toBe(67_000_000); // 67000001 when multiplied and rounded up
    expect(parseQuantity("0.535GB")).toBe(535_000_000);
    expect(parseQuantity("1.001M")).toBe(1_001_000);
    expect(parseQuantity("1.1e1")).toBe(11);
  });

  test.each([
    "",
    "B",
    "Mi",
    "-1",
    "1Mib2",
    "1 Mi",
    " 1",
    "1e",
    "e3",
    ".",
    "1e3Ki",
    "0x10",
    "1_000",
    "Infinity",
    "NaN",
  ])("refuses %j", (text) => {
    expect(parseQuantity(text)).toBeNull();
  });

  test("refuses what a number can not hold, without working it out", () => {
    expect(parseQuantity("9007199254740991")).toBe(Number.MAX_SAFE_INTEGER);
    expect(parseQuantity("9007199254740992")).toBeNull();
    expect(parseQuantity("8Pi")).toBeNull();
    expect(parseQuantity("1E")).toBeNull();
    expect(parseQuantity("1e999999999")).toBeNull();
    expect(parseQuantity("9".repeat(100_000))).toBeNull();
  });

  test("agrees with exact arithmetic on thousandths of any suffix", () => {
    const suffixes = { "": 1n, k: 1000n, M: 10n ** 6n, G: 10n ** 9n, Ki: 1024n, Mi: 1024n ** 2n };
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2_000_000_000 }),
        fc.constantFrom(...(Object.keys(suffixes) as (keyof typeof suffixes)[])),
        fc.constantFrom("", "B", "b"),
        (thousandths, suffix, unit) => {
          const whole = Math.floor(thousandths / 1000);
          const text = `${whole}.${String(thousandths % 1000).padStart(3, "0")}${suffix}${unit}`;
          const exact = (BigInt(thousandths) * suffixes[suffix] + 999n) / 1000n;
          expect(parseQuantity(text)).toBe(Number(exact));
        },
      ),
    );
  });

  test("never throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."0123456789.eEKMi+-Bmk ") }), (text) => {
        const value = parseQuantity(text);
        expect(value === null || (Number.isSafeInteger(value) && value >= 0)).toBe(true);
      }),
    );
  });
});

describe("parseBoolean", () => {
  test.each(["1", "t", "T", "true", "TRUE", "True"])("%s is true", (text) => {
    expect(parseBoolean(text)).toBe(true);
  });

  test.each(["0", "f", "F", "false", "FALSE", "False"])("%s is false", (text) => {
    expect(parseBoolean(text)).toBe(false);
  });

  test.each(["", "yes", "no", "on", "tRUE", " true", "2"])("%j is neither", (text) => {
    expect(parseBoolean(text)).toBeNull();
  });
});

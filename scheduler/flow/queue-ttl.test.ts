import { expect, test } from "vitest";
import { InferenceRequest } from "../request.ts";
import { QUEUE_TTL_HEADER, queueTtlMs } from "./queue-ttl.ts";

const ttl = (text: string | null, configuredMs: number) =>
  queueTtlMs(
    new InferenceRequest({ headers: new Map(text === null ? [] : [[QUEUE_TTL_HEADER, text]]) }),
    configuredMs,
  );

test.each([
  [null, 60_000, 60_000],
  ["500", 60_000, 500],
  [" 500 ", 60_000, 500],
  ["90000", 60_000, 60_000],
  ["500", 0, 500],
  [null, 0, 0],
])("header %j with %d ms configured is %d ms", (text, configured, expected) => {
  expect(ttl(text, configured)).toBe(expected);
});

test.each(["", "0", "-5", "1.5", "1e3", "soon", "0x10", "9".repeat(40)])(
  "%j is passed over",
  (text) => {
    expect(ttl(text, 60_000)).toBe(60_000);
    expect(ttl(text, 0)).toBe(0);
  },
);

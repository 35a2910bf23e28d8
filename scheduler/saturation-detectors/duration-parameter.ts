/**
 * A duration among the parameters of a plugin: text as Go writes it.
 * @module
 */
import { z } from "zod";
import { parseDurationMs } from "../config/quantity.ts";

/** `200ms`, `1m30s` → milliseconds, above 0. */
export const positiveDurationMs = z.string().transform((text, context) => {
  const ms = parseDurationMs(text);
  if (ms !== null && ms > 0) return ms;
  context.addIssue({
    code: "custom",
    message: `expected a positive duration like "200ms", got "${text}"`,
  });
  return z.NEVER;
});

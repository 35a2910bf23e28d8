/**
 * Ten seconds of big prompts in every run of the suite; `npm run e2e:prompts` is the long one, with the bounds of a machine that
 * does nothing else.
 * @module
 */
import { expect, test } from "vitest";
import { bigPrompts } from "./big-prompts.ts";
import { PROMPT_MARK, promptBody } from "./long-prompt.ts";

const RSS_BYTES_MAX = 700e6;
/** Where every core is taken twice, most of it is the wait for one: what this catches is a process that is blocked. */
const SMALL_P95_MS_MAX = 150;

test("prompts of a million tokens neither fail nor block small requests nor take much memory", async () => {
  const { small, big, rssBytesMax } = await bigPrompts({ rate: 10, seconds: 10, aloneSeconds: 0 });
  expect([...small.reasons, ...big.reasons]).toEqual([]);
  expect(small.failed + big.failed).toBe(0);
  expect(small.requests).toBeGreaterThan(300);
  expect(big.requests).toBe(100);
  expect(small.pickMs.p95).toBeLessThan(SMALL_P95_MS_MAX);
  expect(rssBytesMax).toBeLessThan(RSS_BYTES_MAX);
});

test.each(["completions", "chat"] as const)("a big %s prompt is JSON of some 5 MB", (api) => {
  const body = promptBody(api, 1, 4_900_000);
  expect(body.length).toBeGreaterThan(4_900_000);
  expect(body.length).toBeLessThan(5_500_000);
  expect(body.indexOf(PROMPT_MARK)).toBeLessThan(200);
  const members = JSON.parse(body.toString()) as Record<string, unknown>;
  expect(Object.keys(members)).toContain(api === "chat" ? "messages" : "prompt");
});

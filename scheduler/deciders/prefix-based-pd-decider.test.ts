import fc from "fast-check";
import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { PrefixMatch } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { isWorthPrefill, prefixBasedPdDecider } from "./prefix-based-pd-decider.ts";

function decides(parameters: object, promptTokens: number, cached: number, total = 7): boolean {
  const match = new PrefixMatch();
  match.ensure(1);
  match.cachedBlocks[0] = cached;
  match.totalBlocks[0] = total;
  match.blockSizeTokens[0] = 16;
  const { handle } = pluginSetup(1, { "prefix-match": match });
  const parsed = prefixBasedPdDecider.parameters.parse(parameters);
  const { decider } = prefixBasedPdDecider.create(parsed, handle);
  return decider!.disaggregate(new InferenceRequest({ promptTokens }), 0);
}

test("is for it when enough of the prompt is left to compute", () => {
  expect(decides({ nonCachedTokens: 16 }, 100, 5)).toBe(true); // 20 left
  expect(decides({ nonCachedTokens: 20 }, 100, 5)).toBe(true);
  expect(decides({ nonCachedTokens: 21 }, 100, 5)).toBe(false);
});

test("is against it for short prompts, and by default", () => {
  expect(decides({ nonCachedTokens: 16 }, 15, 0)).toBe(false);
  expect(decides({ nonCachedTokens: 16, promptTokens: 101 }, 100, 0)).toBe(false);
  expect(decides({ nonCachedTokens: 16, promptTokens: 100 }, 100, 0)).toBe(true);
  expect(decides({}, 100, 0)).toBe(false);
});

test("is against it when nothing is known of the endpoint", () => {
  expect(decides({ nonCachedTokens: 16 }, 100, 0, -1)).toBe(false);
  const { handle } = pluginSetup(1, { "prefix-match": new PrefixMatch() });
  const parsed = prefixBasedPdDecider.parameters.parse({ nonCachedTokens: 1 });
  const { decider } = prefixBasedPdDecider.create(parsed, handle);
  const request = new InferenceRequest({ promptTokens: 100 });
  expect(decider!.disaggregate(request, 0)).toBe(false);
  expect(decider!.disaggregate(request, -1)).toBe(false);
});

test("more that is held never makes the way more worth it", () => {
  const tokens = fc.nat(1000);
  fc.assert(
    fc.property(tokens, tokens, tokens, tokens, tokens, (left, least, prompt, a, b) => {
      const thresholds = { nonCachedTokens: left, promptTokens: least };
      if (isWorthPrefill(thresholds, prompt, Math.max(a, b))) {
        expect(isWorthPrefill(thresholds, prompt, Math.min(a, b))).toBe(true);
      }
    }),
  );
});

test("negative thresholds are refused, and one that never lets pass is told", () => {
  expect(prefixBasedPdDecider.parameters.safeParse({ nonCachedTokens: -1 }).success).toBe(false);
  expect(prefixBasedPdDecider.parameters.safeParse({ promptTokens: -1 }).success).toBe(false);
  const { handle, warnings } = pluginSetup(0, { "prefix-match": new PrefixMatch() });
  prefixBasedPdDecider.create(prefixBasedPdDecider.parameters.parse({}), handle);
  expect(warnings).toEqual(["nonCachedTokens is 0: no prompt goes to a prefill endpoint"]);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeProcessingRequest, ProcessingRequest } from "../../proto/index.ts";
import { type HeaderPairs, toHeaderMap } from "../../test/support/ext-proc-messages.ts";
import { encodeOracle, processingRequest } from "../../test/support/wire-oracle.ts";
import { PluginHeaders, pluginHeaderLimits } from "./plugin-headers.ts";

function read(plugins: PluginHeaders, pairs: HeaderPairs): Record<string, string> {
  const bytes = encodeOracle(processingRequest, {
    requestHeaders: { headers: toHeaderMap(pairs) },
  });
  const message = new ProcessingRequest();
  decodeProcessingRequest(bytes, 0, bytes.length, message);
  return Object.fromEntries(plugins.read(message.headers));
}

test("takes the headers that were asked for, known to the protocol or not, and no others", () => {
  const plugins = new PluginHeaders(["x-session-token", "x-tier"], []);
  expect(
    read(plugins, [
      ["X-Session-Token", "t"],
      ["X-Tier", "gold"],
      ["x-other", "1"],
      ["cookie", "c"],
    ]),
  ).toEqual({ "x-session-token": "t", "x-tier": "gold" });
  expect(read(plugins, [["x-tier", ""]])).toEqual({ "x-tier": "" });
  expect(read(plugins, [["x-other", "1"]])).toEqual({});
});

test("of a header that comes several times the last counts", () => {
  const plugins = new PluginHeaders(["x-tier"], []);
  expect(
    read(plugins, [
      ["x-tier", "a"],
      ["x-tier", "b"],
    ]),
  ).toEqual({ "x-tier": "b" });
});

test("a value that is too long is as if it were not there: a part of it would be another", () => {
  const plugins = new PluginHeaders(["x-tier"], []);
  const { valueCharsMax } = pluginHeaderLimits;
  const fits = "v".repeat(valueCharsMax);
  expect(read(plugins, [["x-tier", fits]])).toEqual({ "x-tier": fits });
  expect(read(plugins, [["x-tier", `${fits}v`]])).toEqual({});
});

test("the first fairness header that is not blank tells whom a request belongs to", () => {
  const plugins = new PluginHeaders([], ["x-a", "x-b"]);
  const idOf = (values: Record<string, string>) =>
    plugins.fairnessIdOf(new Map(Object.entries(values)));
  expect(idOf({ "x-b": "b", "x-a": "a" })).toBe("a");
  expect(idOf({ "x-a": "  ", "x-b": " b " })).toBe("b");
  expect(idOf({})).toBe("");
  expect(read(plugins, [["x-b", "b"]])).toEqual({ "x-b": "b" });
});

test("whatever headers come, values are those of the wanted names", () => {
  const plugins = new PluginHeaders(["x-tier", "x-session-id"], []);
  const name = fc.constantFrom("x-tier", "X-TIER", "x-session-id", "x-other", "cookie");
  const value = fc.stringMatching(/^[ -~]{0,20}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 10 }), (pairs) => {
      const expected: Record<string, string> = {};
      for (const [key, text] of pairs) {
        const lower = key.toLowerCase();
        if (lower === "x-tier" || lower === "x-session-id") expected[lower] = text;
      }
      expect(read(plugins, pairs)).toEqual(expected);
    }),
  );
});

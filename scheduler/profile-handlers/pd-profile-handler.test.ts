import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { endpointMetadata, requestOf, schedulerOf } from "../../test/support/scheduler-setup.ts";
import type { Flight } from "../flight.ts";
import { pdProfileHandler } from "./pd-profile-handler.ts";

const PROMPT = Array.from({ length: 256 }, (_, i) => i);

function flightFor(parameters: object, ...more: readonly { type: string; parameters?: unknown }[]) {
  const { pool, scheduler } = schedulerOf({
    plugins: [
      { type: "pd-profile-handler", parameters },
      { type: "prefill-filter" },
      { type: "decode-filter" },
      ...more,
    ],
    schedulingProfiles: [
      { name: "prefill", plugins: [{ pluginRef: "prefill-filter" }] },
      { name: "decode", plugins: [{ pluginRef: "decode-filter" }] },
    ],
  });
  pool.upsert(endpointMetadata(0, { "llm-d.ai/role": "decode" }));
  pool.upsert(endpointMetadata(1, { "llm-d.ai/role": "prefill" }));
  return scheduler.schedule(requestOf(scheduler, PROMPT), null) as Flight;
}

const decider = { type: "prefix-based-pd-decider", parameters: { nonCachedTokens: 16 } };

test("picks for prefill where its decider says so, and leaves the header to another plugin", () => {
  const flight = flightFor({}, decider);
  expect(flight.charges.map(({ profile }) => profile)).toEqual(["decode", "prefill"]);
  expect(flight.headers).toEqual([]);
  expect(flightFor({}, decider, { type: "prefill-header-handler" }).headers).toEqual([
    "x-prefiller-host-port",
    "10.0.0.1:8000",
  ]);
});

test("with a primary port the request goes to the proxy, and a header names the rank", () => {
  const flight = flightFor({ primaryPort: 9000 }, decider);
  expect(flight.destination).toBe("10.0.0.0:9000");
  expect(flight.headers).toEqual(["x-data-parallel-host-port", "10.0.0.0:8000"]);
});

test("the oldest form has a threshold of its own and needs no decider", () => {
  expect(flightFor({ threshold: 16 }).charges).toHaveLength(2);
  expect(flightFor({ threshold: 257 }).charges).toHaveLength(1);
});

test("without a declared decider it is refused", () => {
  expect(() => flightFor({})).toThrow(
    'plugins[0].parameters.deciderPluginName: references undefined plugin "prefix-based-pd-decider"',
  );
});

test("what has no effect is accepted with a remark", () => {
  const { handle, warnings } = pluginSetup(0);
  const raw = { hashBlockSize: 5, prefixPluginName: "x", prefixPluginType: "y" };
  const profiles = ["decode", "prefill"];
  pdProfileHandler.create(pdProfileHandler.parameters.parse(raw), {
    ...handle,
    profiles,
    decider: () => ({ disaggregate: () => true }),
  });
  expect(warnings).toEqual(
    ["hashBlockSize", "prefixPluginType", "prefixPluginName"].map(
      (key) => `${key} is deprecated and has no effect`,
    ),
  );
});

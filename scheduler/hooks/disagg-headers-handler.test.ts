import { expect, test } from "vitest";
import { flightOf, pluginSetup } from "../../test/support/plugin-setup.ts";
import type { ProfileResults } from "../plugin.ts";
import { InferenceRequest } from "../request.ts";
import { disaggHeadersHandler } from "./disagg-headers-handler.ts";

function headersFor(targets: Readonly<Record<string, string>>, parameters: object = {}) {
  const { handle, pool } = pluginSetup(1);
  const parsed = disaggHeadersHandler.parameters.parse(parameters);
  const { hooks } = disaggHeadersHandler.create(parsed, handle);
  const results: ProfileResults = {
    slotOf: (profile) => (profile in targets ? 0 : -1),
    hostPorts: (profile) => targets[profile] ?? "",
  };
  const flight = flightOf(new InferenceRequest({}), pool, [[0, "decode"]]);
  hooks!.account!(flight, results);
  return flight.headers;
}

test("names the first prefill target and all encode targets", () => {
  expect(
    headersFor({
      decode: "1.1.1.1:1",
      prefill: "2.2.2.2:2,3.3.3.3:3",
      encode: "4.4.4.4:4,[::5]:5",
    }),
  ).toEqual(["x-prefiller-host-port", "2.2.2.2:2", "x-encoder-hosts-ports", "4.4.4.4:4,[::5]:5"]);
});

test("sets nothing for stages that did not run", () => {
  expect(headersFor({ decode: "1.1.1.1:1" })).toEqual([]);
});

test("profiles may have other names", () => {
  const names = { prefillProfile: "p", encodeProfile: "e" };
  expect(headersFor({ p: "2.2.2.2:2", prefill: "9.9.9.9:9" }, names)).toEqual([
    "x-prefiller-host-port",
    "2.2.2.2:2",
  ]);
});

import { expect, test } from "vitest";
import { flightOf, noResults, pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { prefillHeaderHandler } from "./prefill-header-handler.ts";

test("names the prefill target, as disagg-headers-handler does", () => {
  const { handle, pool } = pluginSetup(1);
  const parsed = prefillHeaderHandler.parameters.parse({ prefillProfile: "p" });
  const { hooks } = prefillHeaderHandler.create(parsed, handle);
  const flight = flightOf(new InferenceRequest({}), pool, [[0, "decode"]]);
  hooks!.account!(flight, noResults);
  expect(flight.headers).toEqual([]);
  const hostPorts = (profile: string) => (profile === "p" ? "2.2.2.2:2" : "");
  hooks!.account!(flight, { ...noResults, hostPorts });
  expect(flight.headers).toEqual(["x-prefiller-host-port", "2.2.2.2:2"]);
});

test("is deprecated", () => {
  expect(prefillHeaderHandler.stability).toBe("deprecated");
});

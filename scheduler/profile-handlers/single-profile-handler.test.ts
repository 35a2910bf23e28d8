import { expect, test } from "vitest";
import { noResults, pluginSetup } from "../../test/support/plugin-setup.ts";
import { PluginConfigError } from "../plugin.ts";
import { InferenceRequest } from "../request.ts";
import { singleProfileHandler } from "./single-profile-handler.ts";

function handlerOf(profiles: readonly string[]) {
  const { handle } = pluginSetup(0);
  return singleProfileHandler.create({}, { ...handle, profiles }).profileHandler!;
}

const request = new InferenceRequest({});

test("runs its profile once, and that is the primary one", () => {
  const handler = handlerOf(["only"]);
  expect(handler.next(request, [], noResults)).toBe("only");
  expect(handler.next(request, ["only"], noResults)).toBeNull();
  expect(handler.primary(["only"])).toBe("only");
});

test("has no primary profile when the run gave no result", () => {
  expect(handlerOf(["only"]).primary([])).toBeNull();
});

test("refuses any number of profiles but one", () => {
  expect(() => handlerOf(["a", "b"])).toThrow(PluginConfigError);
  expect(() => handlerOf(["a", "b"])).toThrow("cannot support multiple scheduling profiles");
  expect(() => handlerOf([])).toThrow(PluginConfigError);
});

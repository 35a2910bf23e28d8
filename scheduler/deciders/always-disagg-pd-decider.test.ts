import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { alwaysDisaggPdDecider } from "./always-disagg-pd-decider.ts";

test("is always for it, with an endpoint or without one", () => {
  const { decider } = alwaysDisaggPdDecider.create({}, pluginSetup(1).handle);
  expect(decider!.disaggregate(new InferenceRequest({}), 0)).toBe(true);
  expect(decider!.disaggregate(new InferenceRequest({ promptTokens: 1 }), -1)).toBe(true);
});

import { expect, test } from "vitest";
import { noResults, pluginSetup } from "../../test/support/plugin-setup.ts";
import { endpointMetadata, schedulerOf } from "../../test/support/scheduler-setup.ts";
import { InferenceRequest } from "../request.ts";
import { headerProfileHandler } from "./header-profile-handler.ts";

function profileFor(
  profiles: readonly string[],
  header: string | null,
  parameters: object = {},
): string | null {
  const { handle } = pluginSetup(0);
  const parsed = headerProfileHandler.parameters.parse(parameters);
  const { profileHandler } = headerProfileHandler.create(parsed, { ...handle, profiles });
  const name = headerProfileHandler.headersRead!(parsed)[0]!;
  const headers = new Map(header === null ? [] : [[name, header]]);
  const request = new InferenceRequest({ headers });
  const first = profileHandler!.next(request, [], noResults);
  if (first !== null) expect(profileHandler!.next(request, [first], noResults)).toBeNull();
  return first;
}

test("runs the profile that the header names, once", () => {
  const profiles = ["decode", "fast"];
  expect(profileFor(profiles, " fast ")).toBe("fast");
  expect(profileFor(profiles, null)).toBe("decode");
  expect(profileFor(profiles, "  ")).toBe("decode");
  expect(profileFor(profiles, "FAST")).toBe("FAST");
});

test("header and default may be others", () => {
  const parameters = { headerName: "X-Way", defaultProfile: "fast" };
  expect(profileFor(["decode", "fast"], "decode", parameters)).toBe("decode");
  expect(profileFor(["decode", "fast"], null, parameters)).toBe("fast");
});

test("one profile leaves no choice", () => {
  expect(profileFor(["only"], "other")).toBe("only");
});

test("a profile that is not configured is the client's fault, and the answer says which are", () => {
  const { pool, scheduler } = schedulerOf({
    plugins: [{ type: "header-profile-handler" }, { type: "random-picker" }],
    schedulingProfiles: ["decode", "fast"].map((name) => ({
      name,
      plugins: [{ pluginRef: "random-picker" }],
    })),
  });
  pool.upsert(endpointMetadata(0));
  const headers = new Map([["epp-profile", "slow"]]);
  expect(scheduler.schedule(new InferenceRequest({ headers }), null)).toEqual({
    kind: "rejected",
    reason: "unknown-profile",
    detail: "configured are decode, fast",
  });
  expect(scheduler.schedule(new InferenceRequest({}), null).kind).toBe("picked");
  expect(scheduler.headersRead).toEqual(["epp-profile"]);
});

test("a default that does not exist is told", () => {
  const { handle, warnings } = pluginSetup(0);
  const parsed = headerProfileHandler.parameters.parse({});
  headerProfileHandler.create(parsed, { ...handle, profiles: ["a", "b"] });
  expect(warnings[0]).toContain('no profile is named "decode"');
});

import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { InferenceRequest } from "../request.ts";
import { agentIdentity } from "./agent-identity.ts";

const parsed = agentIdentity.parameters.parse({ additionalSessionHeaders: ["X-Team"] });

function identityOf(headers: Readonly<Record<string, string>>): string {
  const { candidates, handle } = pluginSetup(1);
  const { producer } = agentIdentity.create(parsed, handle);
  const request = new InferenceRequest({ headers: new Map(Object.entries(headers)) });
  producer!.produce!(request, candidates);
  producer!.produce!(new InferenceRequest({}), candidates);
  expect(producer!.data["session-id"]!.value).toBe("");
  producer!.produce!(request, candidates);
  return producer!.data["session-id"]!.value;
}

test("the first header that is not blank names the session, configured ones before the known", () => {
  expect(identityOf({ session_id: "d", "session-id": "c", "x-session-affinity": "b" })).toBe("b");
  expect(identityOf({ "x-claude-code-session-id": " a ", "x-session-affinity": "b" })).toBe("a");
  expect(identityOf({ "x-team": "t", "x-claude-code-session-id": "a" })).toBe("t");
  expect(identityOf({ "x-team": "  ", session_id: "d" })).toBe("d");
  expect(identityOf({})).toBe("");
});

test("the same headers give the fairness id", () => {
  const names = [
    "x-team",
    "x-claude-code-session-id",
    "x-session-affinity",
    "session-id",
    "session_id",
  ];
  expect(agentIdentity.headersRead!(parsed)).toEqual(names);
  expect(agentIdentity.fairnessHeaders!(parsed)).toEqual(names);
});

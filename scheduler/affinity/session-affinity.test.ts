import { describe, expect, test } from "vitest";
import {
  flightOf,
  noResults,
  type PluginSetup,
  pluginSetup,
} from "../../test/support/plugin-setup.ts";
import { SessionId } from "../data.ts";
import { PluginConfigError, type TokenMac } from "../plugin.ts";
import { InferenceRequest } from "../request.ts";
import {
  createSessionAffinity,
  sessionAffinityParameters,
  sessionConsumptions,
  sessionHeadersRead,
} from "./session-affinity.ts";

function affinityOf(
  setup: PluginSetup,
  parameters: object,
  more: { profiles?: string[]; tokenMac?: (keyFile: string) => TokenMac } = {},
) {
  const handle = { ...setup.handle, ...more };
  return createSessionAffinity(sessionAffinityParameters.parse(parameters), handle);
}

function requestWith(headers: Readonly<Record<string, string>>): InferenceRequest {
  return new InferenceRequest({ headers: new Map(Object.entries(headers)) });
}

const mac =
  (keyFile: string): TokenMac =>
  (text) =>
    `${keyFile}:${text.length}:${text.at(-1)}`;

describe("a token of the endpoint", () => {
  test("is that of the endpoint that served, where that was another one", () => {
    const setup = pluginSetup(3);
    const affinity = affinityOf(setup, {});
    const flight = flightOf(requestWith({}), setup.pool, [[1, "default"]]);
    affinity.account!(flight, noResults);
    flight.charges[0]!.slot = 2;
    affinity.served!(flight, { slot: 1, generation: 1 });
    expect(flight.responseHeaders).toEqual(["x-session-token", "ZGVmYXVsdC9wMg=="]);
  });

  test("is set on the answer, and brings the next request back", () => {
    const setup = pluginSetup(3);
    const affinity = affinityOf(setup, {});
    const flight = flightOf(requestWith({}), setup.pool, [[1, "default"]]);
    affinity.account!(flight, noResults);
    expect(flight.responseHeaders).toEqual(["x-session-token", "ZGVmYXVsdC9wMQ=="]);
    const token = flight.responseHeaders[1]!;
    expect(affinity.find(requestWith({ "x-session-token": token }), setup.candidates)).toBe(1);
    expect(affinity.find(requestWith({}), setup.candidates)).toBe(-1);
    expect(affinity.find(requestWith({ "x-session-token": "%%%" }), setup.candidates)).toBe(-1);
  });

  test("of an endpoint that is no candidate binds to nobody", () => {
    const setup = pluginSetup(2);
    const affinity = affinityOf(setup, {});
    setup.candidates.count = 1;
    const request = requestWith({ "x-session-token": "ZGVmYXVsdC9wMQ==" });
    expect(affinity.find(request, setup.candidates)).toBe(-1);
  });

  test("is that of the named profile's target, and none when the profile did not run", () => {
    const setup = pluginSetup(3);
    const affinity = affinityOf(
      setup,
      { profileName: "prefill", encodedEndpointHeaderConfig: { header: "X-Mine" } },
      { profiles: ["decode", "prefill"] },
    );
    const flight = flightOf(requestWith({}), setup.pool, [[1, "decode"]]);
    affinity.account!(flight, noResults);
    expect(flight.responseHeaders).toEqual([]);
    affinity.account!(flight, { ...noResults, slotOf: (name) => (name === "prefill" ? 2 : 1) });
    expect(flight.responseHeaders).toEqual(["x-mine", "ZGVmYXVsdC9wMg=="]);
  });

  test("may be signed: then a plain one counts only where that is asked for", () => {
    const setup = pluginSetup(2);
    const signed = { token: "signed", keyFile: "key" };
    const affinity = affinityOf(setup, { encodedEndpointHeaderConfig: signed }, { tokenMac: mac });
    const flight = flightOf(requestWith({}), setup.pool, [[1, "default"]]);
    affinity.account!(flight, noResults);
    expect(flight.responseHeaders).toEqual(["x-session-token", "key:10:1"]);
    const plain = requestWith({ "x-session-token": "ZGVmYXVsdC9wMQ==" });
    const own = requestWith({ "x-session-token": "key:10:1" });
    expect(affinity.find(own, setup.candidates)).toBe(1);
    expect(affinity.find(plain, setup.candidates)).toBe(-1);
    const both = affinityOf(
      setup,
      { encodedEndpointHeaderConfig: { ...signed, acceptPlain: true } },
      { tokenMac: mac },
    );
    expect(both.find(own, setup.candidates)).toBe(1);
    expect(both.find(plain, setup.candidates)).toBe(1);
  });

  test("signed without a key file is told; without a platform, or a readable file, refused", () => {
    const setup = pluginSetup(1);
    const parameters = { encodedEndpointHeaderConfig: { token: "signed" } };
    affinityOf(setup, parameters, { tokenMac: mac });
    expect(setup.warnings[0]).toContain("keyFile is not set");
    expect(() => affinityOf(setup, parameters)).toThrow(PluginConfigError);
    const broken = () => {
      throw new Error("can not read it");
    };
    expect(() => affinityOf(setup, parameters, { tokenMac: broken })).toThrow("can not read it");
  });
});

describe("a session by its name", () => {
  const byId = { strategy: "session_id" };

  test("is bound to the first pick and comes back to it", () => {
    const setup = pluginSetup(3);
    const affinity = affinityOf(setup, byId);
    const request = requestWith({ "x-session-id": " s-7 " });
    expect(affinity.find(request, setup.candidates)).toBe(-1);
    const flight = flightOf(request, setup.pool, [[2, "default"]]);
    affinity.account!(flight, noResults);
    expect(flight.responseHeaders).toEqual([]);
    expect(affinity.find(requestWith({ "x-session-id": "s-7" }), setup.candidates)).toBe(2);
    expect(affinity.stats!()).toEqual({ sessions: 1 });
  });

  test("moves only when its endpoint was not among the candidates of the request", () => {
    const setup = pluginSetup(3);
    const { candidates, pool } = setup;
    const affinity = affinityOf(setup, byId);
    const send = (slot: number, count = 3): number => {
      const request = requestWith({ "x-session-id": "s" });
      candidates.count = count;
      const found = affinity.find(request, candidates);
      affinity.account!(flightOf(request, pool, [[slot, "default"]]), noResults);
      return found;
    };
    expect(send(2)).toBe(-1);
    expect(send(0)).toBe(2); // other scorers weighed more this time
    expect(send(0, 2)).toBe(-1); // slot 2 was filtered
    expect(send(0)).toBe(0);
  });

  test("finds an endpoint that has come back under its name", () => {
    const setup = pluginSetup(2);
    const affinity = affinityOf(setup, byId);
    const request = requestWith({ "x-session-id": "s" });
    affinity.account!(flightOf(request, setup.pool, [[1, "default"]]), noResults);
    const metadata = setup.pool.metadata(1);
    setup.pool.remove(metadata.id);
    setup.candidates.reset(0);
    expect(affinity.find(request, setup.candidates)).toBe(-1);
    setup.pool.upsert({ ...metadata, address: "10.9.9.9" });
    setup.candidates.reset(0);
    expect(affinity.find(request, setup.candidates)).toBe(1);
  });

  test("moves to the endpoint that served, where that was another one", () => {
    const setup = pluginSetup(3);
    const affinity = affinityOf(setup, byId);
    const request = requestWith({ "x-session-id": "s" });
    const flight = flightOf(request, setup.pool, [[1, "default"]]);
    affinity.account!(flight, noResults);
    flight.charges[0]!.slot = 2;
    affinity.served!(flight, { slot: 1, generation: 1 });
    expect(affinity.find(request, setup.candidates)).toBe(2);
  });

  test("is forgotten when it was unused for the time to live", () => {
    const setup = pluginSetup(2);
    const affinity = affinityOf(setup, { ...byId, sessionIdConfig: { evictionTtlSeconds: 1 } });
    const request = requestWith({ "x-session-id": "s" });
    affinity.account!(flightOf(request, setup.pool, [[1, "default"]]), noResults);
    setup.candidates.reset(1000);
    expect(affinity.find(request, setup.candidates)).toBe(1);
    setup.candidates.reset(1001);
    expect(affinity.find(request, setup.candidates)).toBe(-1);
  });

  test("its name is the first source that is not blank", () => {
    const session = new SessionId();
    const setup = pluginSetup(2, { "session-id": session });
    const sources = [{ header: "X-A" }, { attribute: "SessionIDDataKey" }, { header: "x-b" }];
    const parameters = { ...byId, sessionIdConfig: { sources } };
    const affinity = affinityOf(setup, parameters);
    const send = (headers: Record<string, string>, slot: number): void => {
      affinity.account!(flightOf(requestWith(headers), setup.pool, [[slot, "d"]]), noResults);
    };
    session.value = "from-producer";
    send({ "x-a": "  ", "x-b": "b" }, 1);
    session.value = "";
    expect(affinity.find(requestWith({ "x-a": "from-producer" }), setup.candidates)).toBe(1);
    expect(affinity.find(requestWith({ "x-b": "b" }), setup.candidates)).toBe(-1);
    const parsed = sessionAffinityParameters.parse(parameters);
    expect(sessionHeadersRead(parsed)).toEqual(["x-a", "x-b"]);
    expect(sessionConsumptions(parsed)).toEqual([
      { type: "session-id", producer: "session-id-producer", required: true },
    ]);
    expect(setup.consumed).toEqual(["session-id from session-id-producer"]);
  });

  test("requests without a name are bound to nobody", () => {
    const setup = pluginSetup(2);
    const affinity = affinityOf(setup, byId);
    affinity.account!(flightOf(requestWith({}), setup.pool, [[1, "default"]]), noResults);
    expect(affinity.stats!()).toEqual({ sessions: 0 });
    expect(affinity.find(requestWith({}), setup.candidates)).toBe(-1);
  });
});

test("parameters say which headers and data are read", () => {
  const encoded = sessionAffinityParameters.parse({});
  expect(sessionHeadersRead(encoded)).toEqual(["x-session-token"]);
  expect(sessionConsumptions(encoded)).toEqual([]);
  const byId = sessionAffinityParameters.parse({ strategy: "session_id" });
  expect(sessionHeadersRead(byId)).toEqual(["x-session-id"]);
});

test("a source has either a header or an attribute", () => {
  const problems = (source: object): string[] =>
    sessionAffinityParameters
      .safeParse({ sessionIdConfig: { sources: [source] } })
      .error!.issues.map(({ message }) => message);
  expect(problems({})).toEqual(["must have either header or attribute"]);
  expect(problems({ header: "x", attribute: "agent-identity" })).toHaveLength(1);
  expect(problems({ header: "x", producer: "p" })).toEqual([
    "goes with attribute, not with header",
  ]);
});

test("a profile that does not exist is refused", () => {
  expect(() => affinityOf(pluginSetup(1), { profileName: "decoed" })).toThrow(
    'no profile is named "decoed"',
  );
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { noResults, pluginSetup } from "../../test/support/plugin-setup.ts";
import {
  endpointMetadata,
  requestOf,
  resolved,
  schedulerOf,
} from "../../test/support/scheduler-setup.ts";
import type { Flight } from "../flight.ts";
import type { Decider } from "../plugin.ts";
import { InferenceRequest } from "../request.ts";
import { disaggProfileHandler } from "./disagg-profile-handler.ts";

const always: Decider = { disaggregate: () => true };
const never: Decider = { disaggregate: () => false };

interface Setup {
  readonly parameters?: object;
  readonly profiles?: readonly string[];
  readonly deciders?: Readonly<Record<string, Decider>>;
  /** Profiles that find nobody. */
  readonly empty?: readonly string[];
}

/** Profiles that run for a request, in order. */
function stagesOf({ deciders = {}, empty = [], parameters = {}, profiles }: Setup): string[] {
  const setup = pluginSetup(0);
  const { profileHandler } = disaggProfileHandler.create(
    disaggProfileHandler.parameters.parse(parameters),
    {
      ...setup.handle,
      profiles: profiles ?? ["decode", "prefill", "encode"],
      decider: (name) => deciders[name],
    },
  );
  const ran: string[] = [];
  const results = {
    ...noResults,
    slotOf: (name: string) => (ran.includes(name) && !empty.includes(name) ? 0 : -1),
  };
  for (let i = 0; i < 10; i++) {
    const name = profileHandler!.next(new InferenceRequest({}), ran, results);
    if (name === null) return ran;
    ran.push(name);
  }
  throw new Error("never ends");
}

const both = { deciders: { prefill: "p", encode: "e" } };

describe("decode first", () => {
  test("decode, then encode and prefill as their deciders say", () => {
    const run = (p: Decider, e: Decider) => stagesOf({ parameters: both, deciders: { p, e } });
    expect(run(never, never)).toEqual(["decode"]);
    expect(run(always, never)).toEqual(["decode", "prefill"]);
    expect(run(never, always)).toEqual(["decode", "encode"]);
    expect(run(always, always)).toEqual(["decode", "encode", "prefill"]);
  });

  test("a stage without profile, or without decider, does not run", () => {
    const deciders = { p: always, e: always };
    expect(stagesOf({ parameters: both, deciders, profiles: ["decode", "prefill"] })).toEqual([
      "decode",
      "prefill",
    ]);
    expect(stagesOf({ parameters: { deciders: { encode: "e" } }, deciders })).toEqual([
      "decode",
      "encode",
    ]);
    expect(stagesOf({ parameters: {} })).toEqual(["decode"]);
  });

  test("nobody to decode ends it", () => {
    const deciders = { p: always, e: always };
    expect(stagesOf({ parameters: both, deciders, empty: ["decode"] })).toEqual(["decode"]);
    expect(stagesOf({ parameters: both, deciders, profiles: ["prefill"] })).toEqual([]);
  });

  test("deciders hear which endpoint decodes", () => {
    const heard: number[] = [];
    const p: Decider = { disaggregate: (_request, slot) => heard.push(slot) > 9 };
    stagesOf({ parameters: { deciders: { prefill: "p" } }, deciders: { p } });
    expect(heard).toEqual([0]);
  });
});

describe("prefill first", () => {
  const stageOrder = "Prefill_First";

  test("prefill always, encode as its decider says, then decode", () => {
    const run = (e: Decider) =>
      stagesOf({ parameters: { stageOrder, deciders: { encode: "e" } }, deciders: { e } });
    expect(run(never)).toEqual(["prefill", "decode"]);
    expect(run(always)).toEqual(["prefill", "encode", "decode"]);
    expect(stagesOf({ parameters: { stageOrder }, empty: ["prefill"] })).toEqual([
      "prefill",
      "decode",
    ]);
  });

  test("without a prefill profile it begins with the next stage", () => {
    const parameters = { stageOrder, deciders: { encode: "e" } };
    const profiles = ["decode", "encode"];
    expect(stagesOf({ parameters, profiles, deciders: { e: always } })).toEqual([
      "encode",
      "decode",
    ]);
  });

  test("the encode decider sees no endpoint", () => {
    const heard: number[] = [];
    const e: Decider = { disaggregate: (_request, slot) => heard.push(slot) > 9 };
    stagesOf({ parameters: { stageOrder, deciders: { encode: "e" } }, deciders: { e } });
    expect(heard).toEqual([-1]);
  });
});

test("whatever the deciders say, each stage runs once at most, decode among them", () => {
  const answers = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 });
  const orders = fc.constantFrom("decode-first", "prefill-first");
  fc.assert(
    fc.property(answers, orders, (says, stageOrder) => {
      let asked = 0;
      const moody: Decider = { disaggregate: () => says[asked++ % says.length]! };
      const deciders =
        stageOrder === "decode-first" ? { prefill: "x", encode: "x" } : { encode: "x" };
      const ran = stagesOf({ parameters: { stageOrder, deciders }, deciders: { x: moody } });
      expect(new Set(ran).size).toBe(ran.length);
      expect(ran).toContain("decode");
    }),
  );
});

describe("parameters", () => {
  const problems = (parameters: object): string[] =>
    disaggProfileHandler.parameters
      .safeParse(parameters)
      .error!.issues.map(({ path }) => path.join("."));

  test("the flat form means the same", () => {
    const parameters = {
      decodeProfile: "d",
      prefillProfile: "p",
      deciderPluginName: "old",
      encodeProfile: "e",
      encodeDeciderPluginName: "media",
    };
    const parsed = disaggProfileHandler.parameters.parse(parameters);
    expect(disaggProfileHandler.references!(parsed)).toEqual([
      { path: "deciderPluginName", name: "old", kind: "decider" },
      { path: "encodeDeciderPluginName", name: "media", kind: "decider" },
    ]);
    expect(disaggProfileHandler.prefillProfile!(parsed)).toBe("p");
    const deciders = { old: always, media: always };
    expect(stagesOf({ parameters, profiles: ["d", "p", "e"], deciders })).toEqual(["d", "e", "p"]);
    const newer = { prefillDeciderPluginName: "newer", deciderPluginName: "old" };
    expect(disaggProfileHandler.references!(disaggProfileHandler.parameters.parse(newer))).toEqual([
      { path: "prefillDeciderPluginName", name: "newer", kind: "decider" },
    ]);
  });

  test("the two forms do not mix; the order goes with either", () => {
    expect(problems({ profiles: {}, prefillProfile: "p" })).toEqual(["prefillProfile"]);
    expect(problems({ deciders: {}, deciderPluginName: "p" })).toEqual(["deciderPluginName"]);
    const flat = { stageOrder: "decode", prefillProfile: "p" };
    expect(disaggProfileHandler.parameters.safeParse(flat).success).toBe(true);
  });

  test("prefill first leaves nothing to decide about prefill", () => {
    const stageOrder = "prefill-first";
    expect(problems({ stageOrder, deciders: { prefill: "p" } })).toEqual(["deciders.prefill"]);
    expect(problems({ stageOrder, deciderPluginName: "p" })).toEqual(["deciderPluginName"]);
    expect(problems({ stageOrder: "sideways" })).toEqual(["stageOrder"]);
  });

  test("what can never run is told", () => {
    const { handle, warnings } = pluginSetup(0);
    const parsed = disaggProfileHandler.parameters.parse({});
    disaggProfileHandler.create(parsed, { ...handle, profiles: ["prefill", "encode"] });
    expect(warnings).toEqual([
      'no profile is named "decode", which decodes: no request can be served',
      'profile "prefill" never runs: it has no decider',
      'profile "encode" never runs: it has no decider',
    ]);
  });
});

const DOCUMENT = {
  plugins: [
    {
      type: "disagg-profile-handler",
      parameters: { profiles: { prefill: "compute" }, deciders: { prefill: "decider" } },
    },
    { type: "prefix-based-pd-decider", name: "decider", parameters: { nonCachedTokens: 64 } },
    { type: "prefill-filter" },
    { type: "decode-filter" },
    { type: "inflight-load-producer" },
    { type: "prefix-cache-scorer" },
  ],
  schedulingProfiles: [
    {
      name: "compute",
      plugins: [{ pluginRef: "prefill-filter" }, { pluginRef: "prefix-cache-scorer" }],
    },
    {
      name: "decode",
      plugins: [{ pluginRef: "decode-filter" }, { pluginRef: "prefix-cache-scorer" }],
    },
  ],
} as const;

describe("in a scheduler", () => {
  function pdScheduler() {
    const setup = schedulerOf(DOCUMENT);
    setup.pool.upsert(endpointMetadata(0, { "llm-d.ai/role": "decode" }));
    setup.pool.upsert(endpointMetadata(1, { "llm-d.ai/role": "prefill" }));
    return setup;
  }

  test("a long prompt goes through prefill, one that is held does not", () => {
    const { pool, scheduler } = pdScheduler();
    const tokens = Array.from({ length: 256 }, (_, i) => i);
    const first = scheduler.schedule(requestOf(scheduler, tokens), null) as Flight;
    expect(first.destination).toBe("10.0.0.0:8000");
    expect(first.headers).toEqual(["x-prefiller-host-port", "10.0.0.1:8000"]);
    expect(first.charges.map(({ profile }) => profile)).toEqual(["decode", "compute"]);
    expect([...pool.columns.inflight.subarray(0, 2)]).toEqual([1, 1]);
    scheduler.firstToken(first);
    expect([...pool.columns.inflight.subarray(0, 2)]).toEqual([1, 0]);
    scheduler.complete(first, "natural");
    expect([...pool.columns.inflight.subarray(0, 2)]).toEqual([0, 0]);
    const second = scheduler.schedule(requestOf(scheduler, tokens), null) as Flight;
    expect(second.headers).toEqual([]);
    expect(second.charges).toHaveLength(1);
    expect(scheduler.pluginsState()["disagg-profile-handler"]!.state).toEqual({
      "decode-only": 1,
      "prefill-decode": 1,
      "encode-decode": 0,
      "encode-prefill-decode": 0,
    });
  });

  test("the target of a renamed prefill profile holds the prompt afterwards", () => {
    const { scheduler } = pdScheduler();
    const request = requestOf(
      scheduler,
      Array.from({ length: 256 }, (_, i) => i),
    );
    scheduler.firstToken(scheduler.schedule(request, null) as Flight);
    expect(scheduler.pluginsState()["approx-prefix-cache-producer"]!.state["size"]).toBe(8);
  });

  test("without a prefill endpoint it decodes all the same; without one to decode it does not", () => {
    const { pool, scheduler } = pdScheduler();
    const tokens = Array.from({ length: 256 }, (_, i) => i);
    pool.remove("default/p1");
    const flight = scheduler.schedule(requestOf(scheduler, tokens), null) as Flight;
    expect(flight.headers).toEqual([]);
    pool.remove("default/p0");
    pool.upsert(endpointMetadata(1, { "llm-d.ai/role": "prefill" }));
    expect(scheduler.schedule(requestOf(scheduler, tokens), null)).toEqual({
      kind: "rejected",
      reason: "filtered-by-labels",
    });
  });
});

test("a decider must be declared, and be one", () => {
  const withDecider = (prefill: string) => () =>
    resolved({
      ...DOCUMENT,
      plugins: [
        { type: "disagg-profile-handler", parameters: { deciders: { prefill } } },
        ...DOCUMENT.plugins.slice(1),
      ],
    });
  expect(withDecider("decider")).not.toThrow();
  expect(withDecider("decidr")).toThrow(
    'plugins[0].parameters.deciders.prefill: references undefined plugin "decidr"; did you mean "decider"?',
  );
  expect(withDecider("decode-filter")).toThrow(
    'plugins[0].parameters.deciders.prefill: plugin "decode-filter" is not a decider',
  );
});

test("deciders are created before the handlers that name them, wherever they stand", () => {
  const names = resolved(DOCUMENT).plugins.map(({ name }) => name);
  expect(names.indexOf("decider")).toBeLessThan(names.indexOf("disagg-profile-handler"));
});

import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { endpointMetadata, requestOf, schedulerOf } from "../../test/support/scheduler-setup.ts";
import { Topology } from "../data.ts";
import type { Flight } from "../flight.ts";
import { InferenceRequest } from "../request.ts";
import { topologyAffinityFilter } from "./topology-affinity-filter.ts";

/** Endpoints on these hosts, each `host/rack/zone/region`; the last one is the peer and no candidate. */
function setupOf(places: readonly string[], hasPeer = true) {
  const topology = new Topology();
  for (const place of places) {
    const [hostname = "", rack = "", zone = "", region = ""] = place.split("/");
    topology.hostname.push(hostname);
    topology.rack.push(rack);
    topology.zone.push(zone);
    topology.region.push(region);
  }
  const setup = pluginSetup(places.length, { topology });
  setup.candidates.count = places.length - 1;
  setup.candidates.peerSlot = hasPeer ? places.length - 1 : -1;
  return setup;
}

const PLACES = ["h1/r1/z1/e", "h2/r1/z1/e", "h3//z1/e", "h4/r9/z9/e", "///", "h1/r1/z1/e"];

function keptOf(places: readonly string[], parameters: object = {}, hasPeer = true): number[] {
  const { candidates, handle } = setupOf(places, hasPeer);
  const parsed = topologyAffinityFilter.parameters.parse(parameters);
  const { filter } = topologyAffinityFilter.create(parsed, handle);
  filter!.filter(new InferenceRequest({}), candidates);
  return [...candidates.slots.subarray(0, candidates.count)];
}

test.each([
  ["host", [0]],
  ["rack", [0, 1]],
  ["zone", [0, 1, 2]],
  ["region", [0, 1, 2, 3]],
])("keeps those that share at least the %s", (minAffinity, kept) => {
  expect(keptOf(PLACES, { minAffinity })).toEqual(kept);
});

test("keeps all without a peer, and when nobody is near", () => {
  expect(keptOf(PLACES, {}, false)).toEqual([0, 1, 2, 3, 4]);
  expect(keptOf(["h1/r1", "h2/r2", "h9/r9"])).toEqual([0, 1]);
});

test("in a scheduler the peer is the endpoint that the stage before has picked", () => {
  const { pool, scheduler } = schedulerOf({
    plugins: [
      {
        type: "disagg-profile-handler",
        parameters: { deciders: { prefill: "always-disagg-pd-decider" } },
      },
      { type: "always-disagg-pd-decider" },
      { type: "topology-extractor" },
      { type: "topology-affinity-filter" },
      { type: "prefill-filter" },
      { type: "decode-filter" },
    ],
    schedulingProfiles: [
      {
        name: "prefill",
        plugins: [{ pluginRef: "prefill-filter" }, { pluginRef: "topology-affinity-filter" }],
      },
      {
        name: "decode",
        plugins: [{ pluginRef: "decode-filter" }, { pluginRef: "topology-affinity-filter" }],
      },
    ],
  });
  for (let i = 0; i < 8; i++) {
    const role = i % 2 === 0 ? "decode" : "prefill";
    const host = `h${i >> 1}`;
    pool.upsert(endpointMetadata(i, { "llm-d.ai/role": role, "kubernetes.io/hostname": host }));
  }
  for (let i = 0; i < 8; i++) {
    const flight = scheduler.schedule(requestOf(scheduler, [1, 2, 3]), null) as Flight;
    const hosts = flight.charges.map(({ slot }) =>
      pool.metadata(slot).labels.get("kubernetes.io/hostname"),
    );
    expect(hosts).toHaveLength(2);
    expect(hosts[0]).toBe(hosts[1]);
  }
});

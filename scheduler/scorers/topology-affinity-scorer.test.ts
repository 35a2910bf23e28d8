import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { Topology } from "../data.ts";
import { InferenceRequest } from "../request.ts";
import { topologyAffinityScorer } from "./topology-affinity-scorer.ts";

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

function scoresOf(hasPeer: boolean): number[] {
  const { candidates, handle } = setupOf(PLACES, hasPeer);
  const parsed = topologyAffinityScorer.parameters.parse({});
  const { scorer } = topologyAffinityScorer.create(parsed, handle);
  const scores = new Float64Array(candidates.count).fill(-1);
  scorer!.score(new InferenceRequest({}), candidates, scores);
  return [...scores];
}

test("the nearer to the peer, the better", () => {
  expect(scoresOf(true)).toEqual([1, 0.2, 0.05, 0.02, 0]);
});

test("without a peer nobody is near", () => {
  expect(scoresOf(false)).toEqual([0, 0, 0, 0, 0]);
});

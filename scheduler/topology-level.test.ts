import fc from "fast-check";
import { expect, test } from "vitest";
import { Topology } from "./data.ts";
import { NOT_NEAR, sharedLevel } from "./topology-level.ts";

type Place = readonly [host: string, rack: string, zone: string, region: string];

function levelOf(a: Place, b: Place): number {
  const topology = new Topology();
  for (const [hostname, rack, zone, region] of [a, b]) {
    topology.hostname.push(hostname);
    topology.rack.push(rack);
    topology.zone.push(zone);
    topology.region.push(region);
  }
  return sharedLevel(topology, 0, 1);
}

test("the tightest level that both share counts", () => {
  const peer: Place = ["h1", "r1", "z1", "e"];
  expect(levelOf(peer, peer)).toBe(0);
  expect(levelOf(peer, ["h2", "r1", "z1", "e"])).toBe(1);
  expect(levelOf(peer, ["h3", "", "z1", ""])).toBe(2);
  expect(levelOf(peer, ["h4", "r9", "z9", "e"])).toBe(3);
  expect(levelOf(peer, ["h4", "r9", "z9", "f"])).toBe(NOT_NEAR);
});

test("what is not told is shared by nobody", () => {
  expect(levelOf(["", "", "", ""], ["", "", "", ""])).toBe(NOT_NEAR);
  expect(sharedLevel(new Topology(), 0, 1)).toBe(NOT_NEAR);
});

test("nearness is mutual", () => {
  const name = fc.constantFrom("", "a", "b");
  const place = fc.tuple(name, name, name, name);
  fc.assert(
    fc.property(place, place, (a, b) => {
      expect(levelOf(a, b)).toBe(levelOf(b, a));
    }),
  );
});

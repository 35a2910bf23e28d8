import { expect, test } from "vitest";
import { pluginSetup } from "../../test/support/plugin-setup.ts";
import { endpointMetadata } from "../../test/support/scheduler-setup.ts";
import { InferenceRequest } from "../request.ts";
import { topologyExtractor } from "./topology-extractor.ts";

const PLACE = {
  "kubernetes.io/hostname": "h1",
  "topology.kubernetes.io/rack": "r1",
  "topology.kubernetes.io/zone": "z1",
  "topology.kubernetes.io/region": "e",
};

function extractorOver(parameters: object, ...labels: Record<string, string>[]) {
  const { candidates, handle, pool } = pluginSetup(0);
  for (const [i, set] of labels.entries()) pool.upsert(endpointMetadata(i, set));
  const parsed = topologyExtractor.parameters.parse(parameters);
  const producer = topologyExtractor.create(parsed, handle).producer!;
  const produce = () => producer.produce!(new InferenceRequest({}), candidates);
  produce();
  return { pool, produce, topology: producer.data.topology! };
}

test("reads where endpoints stand from their labels", () => {
  const { topology } = extractorOver({}, PLACE, {});
  expect({ ...topology }).toEqual({
    hostname: ["h1", ""],
    rack: ["r1", ""],
    zone: ["z1", ""],
    region: ["e", ""],
  });
});

test("labels may have other names", () => {
  const { topology } = extractorOver({ rack: "row" }, { ...PLACE, row: "r7" });
  expect([topology.hostname[0], topology.rack[0]]).toEqual(["h1", "r7"]);
});

test("labels that change are read anew", () => {
  const { pool, produce, topology } = extractorOver({}, PLACE);
  pool.upsert(endpointMetadata(0, { ...PLACE, "kubernetes.io/hostname": "h2" }));
  produce();
  expect(topology.hostname[0]).toBe("h2");
});

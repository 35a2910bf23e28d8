/**
 * Tells from labels where endpoints stand.
 * @module
 */
import { z } from "zod";
import { Topology } from "../data.ts";
import type { EndpointPool } from "../endpoints.ts";
import { defineProducer, type Producer } from "../plugin.ts";

const label = (name: string) => z.string().min(1).default(name).meta({ description: "Label." });

const Parameters = z.strictObject({
  hostname: label("kubernetes.io/hostname"),
  rack: label("topology.kubernetes.io/rack"),
  zone: label("topology.kubernetes.io/zone"),
  region: label("topology.kubernetes.io/region"),
});

type Labels = z.output<typeof Parameters>;

class LabelTopology implements Producer {
  readonly data = { topology: new Topology() };
  readonly #labels: Labels;
  readonly #pool: EndpointPool;
  #version = -1;

  constructor(labels: Labels, pool: EndpointPool) {
    this.#labels = labels;
    this.#pool = pool;
  }

  produce(): void {
    const { live, liveCount, version } = this.#pool;
    if (version === this.#version) return;
    this.#version = version;
    const { topology } = this.data;
    for (let i = 0; i < liveCount; i++) {
      const slot = live[i]!;
      const { labels } = this.#pool.metadata(slot);
      for (const level of ["hostname", "rack", "zone", "region"] as const) {
        topology[level][slot] = labels.get(this.#labels[level]) ?? "";
      }
    }
  }
}

export const topologyExtractor = defineProducer({
  type: "topology-extractor",
  stability: "alpha",
  summary: "Host, rack, zone and region of endpoints, from their labels.",
  source: "llm-d-router: pkg/epp/framework/plugins/datalayer/extractor/topology",
  parameters: Parameters,
  produces: ["topology"],
  create: (parameters, { pool }) => new LabelTopology(parameters, pool),
});

/**
 * One request a flow, in turn.
 * @module
 */
import { z } from "zod";
import type { BandFairness } from "../flow/contracts.ts";
import { defineFairnessPolicy } from "../plugin.ts";
import { FlowRing } from "./flow-ring.ts";

/** Turns in the order in which flows became active; whatever a request costs, it is one turn. */
export function roundRobin(): BandFairness {
  const ring = new FlowRing();
  return {
    activate: (flow) => ring.add(flow),
    headChanged() {},
    deactivate: (flow) => ring.remove(flow),
    next() {
      const flow = ring.current;
      ring.advance();
      return flow;
    },
    charge: () => 1,
    settle() {},
    forget() {},
  };
}

export const roundRobinFairnessPolicy = defineFairnessPolicy({
  type: "round-robin-fairness-policy",
  stability: "beta",
  summary: "Flows of a band take turns, one request each.",
  source: "llm-d-router: pkg/epp/framework/plugins/flowcontrol/fairness/roundrobin",
  parameters: z.object({}),
  ignoresParameters: true,
  create: () => ({ band: roundRobin }),
});
